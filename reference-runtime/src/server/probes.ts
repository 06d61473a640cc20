// What a policy is tried on before it is activated: requests as this runtime would ask for them, with its own pools, tenants and flags.
import type { RuntimeConfig } from '../config/types.ts';
import type { PolicyInput } from '../policy/policy.ts';

/** Requests at most: each is evaluated once whenever a policy is activated, in tenths of a millisecond. */
const LIMIT = 128;

/** Every model for every configured tenant: once as a request says everything of itself, and once as it says nothing. */
export function policyProbes(config: RuntimeConfig): PolicyInput[] {
  const { flags, pools, slo, tenants } = config;
  const fleet = {
    clusters: [
      ...new Map(pools.map(({ cluster, region, jurisdiction }) => [cluster, { id: cluster, region, jurisdiction }])).values(),
    ],
    pools: pools.map(({ engine: _engine, ...pool }) => pool),
  };
  const first = new Map(pools.toReversed().map((pool) => [pool.model, pool]));
  const probes: PolicyInput[] = [];
  for (const tenant of Object.keys(tenants))
    for (const { model, region } of first.values()) {
      const bare = { id: 'self-test', tenant, workload_identity: tenant, model, tokens: 1 };
      const full = {
        ...bare,
        data_class: 'internal',
        origin_region: region,
        task: 'chat',
        priority: 'normal',
        session: 's',
        user: 'u',
      };
      for (const request of [full, bare]) probes.push({ request, fleet, slo, flags });
    }
  return probes.slice(0, LIMIT);
}
