import { resolve } from 'node:path';
import { ConfigurationError } from '../../core/errors.ts';
import type { CommandOutcome, Invocation } from '../framework.ts';
import { singleGateReport } from '../single-gate.ts';
import { checkAlpha, checkLooks, profileFlag } from './options.ts';

/** A kept run with labels that came later. */
export async function judgeLabels(invocation: Invocation, baseline: string, candidate: string): Promise<CommandOutcome> {
  const { options, dir } = invocation;
  if (resolve(dir, baseline) !== resolve(dir, candidate))
    throw new ConfigurationError({
      message: '--labels needs both arms in one file.',
      expected: 'the file that `mixgate canary run --samples FILE` keeps, as --baseline and as --candidate',
    });
  const stray = (['looks', 'look', 'k6-exit-code'] as const).find((name) => options.number(name) !== undefined);
  if (stray !== undefined) throw new ConfigurationError({ message: `--${stray} does not go with --labels.` });
  return judgeKeptRun(invocation, baseline, { labels: options.strings('labels') });
}

/** A run that `canary run --samples` kept, as `canary run` judges it: its pairs, after warm-up and A/A block. */
export async function judgeKeptRun(
  invocation: Invocation,
  run: string,
  { labels = [], truncated = false }: { readonly labels?: readonly string[]; readonly truncated?: boolean },
): Promise<CommandOutcome> {
  const { options, dir } = invocation;
  const [alpha, looks, look, code] = [
    options.number('alpha'),
    options.number('looks'),
    options.number('look'),
    options.number('k6-exit-code'),
  ];
  checkAlpha(alpha);
  const { rejudgeRun } = await import('../../canary/rejudge.ts');
  const { k6Problem } = await import('../../canary/samples.ts');
  const { MAX_LOOKS } = await import('../../canary/judge/validate.ts');
  const { openWorkspace } = await import('../open-workspace.ts');
  checkLooks(looks, look, MAX_LOOKS);
  const workspace = await openWorkspace(invocation, { configRequired: false, gitRequired: false });
  const result = await rejudgeRun({
    run: { path: resolve(dir, run), name: run },
    labels: labels.map((name) => ({ path: resolve(dir, name), name })),
    loaded: await profileFlag(invocation, workspace),
    alpha,
    looks,
    look,
    aborted: truncated ? 'its record is cut short' : code === undefined ? undefined : k6Problem(code),
    seed: workspace.context.seed,
    now: workspace.context.now,
  });
  return { report: singleGateReport(invocation, workspace, result) };
}
