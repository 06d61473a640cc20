// The policy, at start and when its sources are asked again.
import { messageOf } from '../../../src/core/errors.ts';
import { BundleError } from '../policy/bundle.ts';
import type { PolicyStore } from '../policy/store.ts';
import type { Runtime } from './runtime.ts';

/** Labels of the gauge that says which bundle is active. */
export function bundleLabels(bundle: {
  revision: string;
  digest: string;
}): Record<'mixgate_policy_revision' | 'mixgate_policy_digest', string> {
  return { mixgate_policy_revision: bundle.revision, mixgate_policy_digest: `sha256:${bundle.digest}` };
}

/** At start: the sources, else the bundle kept on disk. @throws BundleError with every reason */
export async function firstPolicy(policy: PolicyStore, log: (message: string) => void): Promise<void> {
  try {
    const { problems } = await policy.reload(new Date());
    for (const problem of problems) log(`policy source ${problem}`);
  } catch (error) {
    const why = messageOf(error);
    try {
      const { bundle } = await policy.recall(new Date());
      log(`no policy source has a good bundle, serving the last good one (${bundle.revision}) from disk: ${why}`);
    } catch (cause) {
      throw new BundleError(`${why}; ${messageOf(cause)}`);
    }
  }
}

/** Asks the sources of policy again; the active one stays when none has a good bundle. */
export async function reloadPolicy(
  runtime: Pick<Runtime, 'policy' | 'metrics' | 'log'>,
): Promise<'changed' | 'unchanged' | 'failed'> {
  try {
    const before = runtime.policy.active.bundle;
    const { active, source, changed, problems } = await runtime.policy.reload(new Date());
    for (const problem of problems) runtime.log(`policy source ${problem}`);
    runtime.metrics.instruments.bundleFailures.inc(problems.length);
    if (!changed) return 'unchanged';
    runtime.metrics.instruments.bundleInfo.remove(bundleLabels(before));
    runtime.metrics.instruments.bundleInfo.set(bundleLabels(active.bundle), 1);
    runtime.metrics.instruments.bundleActivated.set(Date.parse(active.activatedAt) / 1000);
    runtime.log(`policy ${active.bundle.revision} from ${source} is active`);
    return 'changed';
  } catch (error) {
    runtime.metrics.instruments.bundleFailures.inc();
    runtime.log(`policy not reloaded, the last good one stays active: ${messageOf(error)}`);
    return 'failed';
  }
}
