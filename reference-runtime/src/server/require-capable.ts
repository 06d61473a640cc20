// Pools of a decision that do not serve what the request requires are passed over; a request that none of them serves is refused before
// anything is reserved for it.
import type { Decision } from '../policy/policy.ts';
import { lacking } from './capabilities.ts';
import type { RequestContext } from './context.ts';
import { badRequest, type HttpError } from './errors.ts';
import type { Requirement } from './requirements.ts';
import { attempts } from './route.ts';
import type { Runtime } from './runtime.ts';

/** The refusal of a request that no pool of its decision serves. */
function refusal(pools: ReadonlyArray<{ pool: string; missing: Requirement[] }>, requires: readonly Requirement[]): HttpError {
  // What no pool serves at all says more than what only the first does not.
  const first = (requires.find((each) => pools.every(({ missing }) => missing.includes(each))) ??
    pools[0]?.missing[0]) as Requirement;
  const { capability, param, refusal: own } = first;
  const why = own?.message ?? `${param}: it needs a pool that serves ${capability}`;
  const each = pools.map(({ pool, missing }) => `${pool} does not serve ${missing.map((one) => one.capability).join(', ')}`);
  const text = `${why}; of the pools that the routing policy gives this request none does: ${each.join('; ')}. Send it without, or let the policy give it a pool that does: one with an upstream engine whose capabilities in the runtime's configuration say so`;
  return badRequest(text, param, own?.code ?? 'unsupported_parameter', 'model');
}

/** Passes over the pools of the decision that cannot serve the request. @throws HttpError 400 when none can */
export function requireCapable(
  runtime: Pick<Runtime, 'config' | 'reachable'>,
  context: RequestContext,
  decision: Decision,
): void {
  const requires = context.request?.requires ?? [];
  if (requires.length === 0) return;
  const { pools } = runtime.config;
  const all = [...attempts(runtime, decision, context.arm)].map(({ target }) => ({
    pool: target.pool,
    missing: lacking(pools, target.pool, requires),
  }));
  const incapable = all.filter(({ missing }) => missing.length > 0);
  context.passedOver = incapable.map(({ pool, missing }) => ({ pool, missing: missing.map(({ capability }) => capability) }));
  if (all.length > 0 && incapable.length === all.length) throw refusal(incapable, requires);
}
