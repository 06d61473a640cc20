// Drives one case for real and keeps the raw samples, so that a changed judge can be tried on them at no cost.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile } from '../../src/canary/gate.ts';
import type { PromptRecord } from '../../src/canary/run/corpus.ts';
import { runK6 } from '../../src/canary/run/k6.ts';
import { buildPlan } from '../../src/canary/run/plan.ts';
import { silentProgress } from '../../src/core/context.ts';
import type { CanaryProfileDocument } from '../../src/generated/schemas.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { folderTree } from '../../src/workspace/tree.ts';
import type { Case } from './cases.ts';
import { corpusHalves } from './corpus.ts';
import { MODEL, prefer, startCandidate, startServer, TOKEN } from './serving.ts';
import { type Answer, ask, constructed, measured, type Truth, truthOf } from './truth.ts';

export const SEED = 6;
export const CACHE = process.env['MIXGATE_DEGRADATIONS'] ?? join(tmpdir(), 'mixgate-degradations');

/** What is known of a collected case beside its samples. */
export interface Collected {
  readonly id: string;
  readonly seconds: number;
  readonly aborted?: string;
  readonly truth: Truth;
}

export const samplesFile = (tried: Case): string => join(CACHE, `${tried.id}.ndjson`);
export const recordFile = (tried: Case): string => join(CACHE, `${tried.id}.json`);

export async function benchProfile(): Promise<{ profile: CanaryProfileDocument; file: string }> {
  return loadProfile(folderTree(import.meta.dirname), 'profile.yaml');
}

/** Runs a case: baseline and candidate are started anew, k6 drives both, then the truth is measured on the held-out prompts. */
export async function collect(tried: Case): Promise<Collected> {
  mkdirSync(CACHE, { recursive: true });
  prefer(process.pid);
  const { profile } = await benchProfile();
  const halves = await corpusHalves();
  const work = mkdtempSync(join(tmpdir(), 'mixgate-degradation-'));
  try {
    await using baseline = await startServer(join(work, 'baseline'), 'baseline', MODEL);
    await using candidate = await startCandidate(tried, {
      work: join(work, 'candidate'),
      seed: SEED,
      segmentOf: halves.segmentOf,
    });
    const plan = buildPlan({
      profile,
      prompts: halves.canary,
      baseline: baseline.url,
      candidate: candidate.url,
      seed: SEED,
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    const started = performance.now();
    const partial = `${samplesFile(tried)}.partial`;
    rmSync(partial, { force: true });
    const run = await runK6(plan, {
      k6: (await resolveTool('k6')).path,
      progress: silentProgress,
      signal: new AbortController().signal,
      keepSamples: partial,
    });
    const seconds = (performance.now() - started) / 1000;
    keepOwn(partial);
    const options = { maxTokens: plan.maxTokens, stop: plan.stop };
    const before = await baselineAnswers(baseline.url, halves.heldOut, options);
    const truth = await truthFor(tried, before, () => ask(candidate.url, halves.heldOut, options));
    renameSync(partial, samplesFile(tried));
    const record: Collected = {
      id: tried.id,
      seconds,
      ...(run.aborted === undefined ? {} : { aborted: run.aborted }),
      truth,
    };
    writeFileSync(recordFile(tried), JSON.stringify(record, undefined, 2));
    return record;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Keeps only the lines the judge reads: k6 writes about twenty of its own for each request. */
function keepOwn(file: string): void {
  const lines = readFileSync(file, 'utf8').split('\n');
  writeFileSync(
    file,
    `${lines.filter((line) => line.includes('"mixgate_') || line.includes('"dropped_iterations"')).join('\n')}\n`,
  );
}

/** The baseline's answers to the held-out prompts: the same for every case, so asked once. */
async function baselineAnswers(
  url: string,
  prompts: readonly PromptRecord[],
  options: { maxTokens: number; stop: readonly string[] },
): Promise<readonly Answer[]> {
  const file = join(CACHE, 'baseline-answers.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Answer[];
  const answers = await ask(url, prompts, options);
  writeFileSync(file, JSON.stringify(answers));
  return answers;
}

async function truthFor(tried: Case, before: readonly Answer[], after: () => Promise<Answer[]>): Promise<Truth> {
  const baselineMs = (segment?: string): number => {
    const times = before.filter((answer) => segment === undefined || answer.segment === segment).map((answer) => answer.ms);
    return times.reduce((sum, value) => sum + value, 0) / times.length;
  };
  const known = constructed(tried, baselineMs);
  if (known !== undefined) return truthOf(known, 'by construction');
  return truthOf(measured(before, await after()), `${before.length} held-out prompts`);
}
