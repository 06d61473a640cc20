import { resolve } from 'node:path';
import { ConfigurationError } from '../../core/errors.ts';
import type { CommandOutcome, Invocation } from '../framework.ts';
import { singleGateReport } from '../single-gate.ts';
import { checkAlpha, profileFlag } from './options.ts';

/** A kept run with labels that came later. */
export async function judgeLabels(invocation: Invocation, baseline: string, candidate: string): Promise<CommandOutcome> {
  const { options, dir } = invocation;
  if (resolve(dir, baseline) !== resolve(dir, candidate))
    throw new ConfigurationError({
      message: '--labels needs both arms in one file.',
      expected: 'the file that `mixgate canary run --samples FILE` keeps, as --baseline and as --candidate',
    });
  const stray = (['looks', 'k6-exit-code'] as const).find((name) => options.number(name) !== undefined);
  if (stray !== undefined) throw new ConfigurationError({ message: `--${stray} does not go with --labels.` });
  const alpha = options.number('alpha');
  checkAlpha(alpha);
  const { rejudgeRun } = await import('../../canary/rejudge.ts');
  const { openWorkspace } = await import('../open-workspace.ts');
  const workspace = await openWorkspace(invocation, { configRequired: false, gitRequired: false });
  const result = await rejudgeRun({
    run: { path: resolve(dir, baseline), name: baseline },
    labels: options.strings('labels').map((name) => ({ path: resolve(dir, name), name })),
    loaded: await profileFlag(invocation, workspace),
    alpha,
    seed: workspace.context.seed,
    now: workspace.context.now,
  });
  return { report: singleGateReport(invocation, workspace, result) };
}
