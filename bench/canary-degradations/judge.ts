// The product's own judgement of the collected samples.
import { existsSync, readFileSync } from 'node:fs';
import { analyseCanary } from '../../src/canary/run/analyse.ts';
import { readPoints } from '../../src/canary/run/k6.ts';
import type { Finding } from '../../src/core/finding.ts';
import type { Verdict } from '../../src/core/verdict.ts';
import { CASES, type Case } from './cases.ts';
import { benchProfile, type Collected, recordFile, SEED, samplesFile, truthFile } from './collect.ts';
import type { Truth } from './truth.ts';

export interface Judged {
  readonly tried: Case;
  readonly collected: Collected;
  readonly truth: Truth;
  readonly verdict: Verdict;
  readonly reason: string;
  readonly findings: readonly Finding[];
}

/**
 * Judges every case whose samples and truth are there, or those whose id or kind begins with `only`.
 * `timeMargin`: another relative margin of the times than the profile's.
 */
export async function judgeAll(only?: string, timeMargin?: number): Promise<readonly Judged[]> {
  const { profile: own, file } = await benchProfile();
  const profile =
    timeMargin === undefined
      ? own
      : {
          ...own,
          metrics: own.metrics.map((metric) =>
            metric.name === 'ttft_ms' || metric.name === 'e2e_ms' ? { ...metric, margin: { relative: timeMargin } } : metric,
          ) as typeof own.metrics,
        };
  const results: Judged[] = [];
  for (const tried of selected(only)) {
    if (!existsSync(recordFile(tried)) || !existsSync(truthFile(tried))) continue;
    const collected = JSON.parse(readFileSync(recordFile(tried), 'utf8')) as Collected;
    const truth = JSON.parse(readFileSync(truthFile(tried), 'utf8')) as Truth;
    const gate = analyseCanary({
      samples: await readPoints(samplesFile(tried)),
      profile,
      profileFile: file,
      seed: SEED,
      ...(collected.aborted === undefined ? {} : { aborted: collected.aborted }),
    });
    results.push({ tried, collected, truth, verdict: gate.verdict, reason: gate.reason, findings: gate.findings });
  }
  return results;
}

export function selected(only: string | undefined): readonly Case[] {
  return CASES.filter(
    (tried) =>
      only === undefined || tried.id.startsWith(only) || tried.kind.startsWith(only) || (only === 'clean' && tried.clean),
  );
}
