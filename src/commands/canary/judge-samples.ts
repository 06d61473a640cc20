import { resolve } from 'node:path';
import type { SampleSet } from '../../canary/sample-set.ts';
import type { MetricSetting } from '../../canary/samples.ts';
import type { CommandOutcome, Invocation } from '../framework.ts';
import { singleGateReport } from '../single-gate.ts';
import { judgeKeptRun } from './judge-kept.ts';
import { checkAlpha, checkLooks, profileFlag } from './options.ts';

/** Both arms from files; one file with an `arm` column or tag serves as both. */
export async function judgeFiles(invocation: Invocation, baseline: string, candidate: string): Promise<CommandOutcome> {
  const { readSamples } = await import('../../canary/read-samples.ts');
  const left = await readSamples(resolve(invocation.dir, baseline));
  if (left.canaryRun === true && resolve(invocation.dir, candidate) === resolve(invocation.dir, baseline))
    return judgeKeptRun(invocation, baseline, { truncated: left.truncated });
  const right = candidate === baseline ? left : await readSamples(resolve(invocation.dir, candidate));
  return judgeSets(invocation, left, right, candidate);
}

/** @param live the one metric of a live judgement: the profile adds what the flags leave open */
export async function judgeSets(
  invocation: Invocation,
  left: SampleSet,
  right: SampleSet,
  file: string | undefined,
  live?: MetricSetting,
): Promise<CommandOutcome> {
  const { judgeSampleCase } = await import('../../canary/samples.ts');
  const { judgedGate } = await import('../../canary/judge-gate.ts');
  const { MAX_LOOKS } = await import('../../canary/judge/validate.ts');
  const { openWorkspace } = await import('../open-workspace.ts');
  const { options } = invocation;
  const workspace = await openWorkspace(invocation, { configRequired: false, gitRequired: false });
  const profile = (await profileFlag(invocation, workspace))?.profile;
  const [alpha, looks, look, code] = [
    options.number('alpha') ?? profile?.alpha,
    options.number('looks'),
    options.number('look'),
    options.number('k6-exit-code'),
  ];
  checkAlpha(alpha);
  checkLooks(looks, look, MAX_LOOKS);
  const metrics =
    live === undefined ? profile?.metrics : [{ ...profile?.metrics.find((metric) => metric.name === live.name), ...live }];
  const judged = judgeSampleCase(left, right, {
    seed: invocation.seed,
    ...(alpha === undefined ? {} : { alpha }),
    ...(looks === undefined ? {} : { looks }),
    ...(look === undefined ? {} : { look }),
    ...(code === undefined ? {} : { k6ExitCode: code }),
    ...(metrics === undefined ? {} : { metrics }),
    ...(live === undefined ? {} : { design: 'unpaired' as const }),
  });
  return { report: singleGateReport(invocation, workspace, judgedGate(judged, file)) };
}
