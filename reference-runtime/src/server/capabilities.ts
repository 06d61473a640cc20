// Whether a pool serves what a request requires.
import { type Capability, unserved } from '../config/capabilities.ts';
import type { PoolConfig } from '../config/types.ts';
import type { Requirement } from './requirements.ts';

/** Why a pool was passed over: the reason of the fallback that stands in for it. */
export const INCAPABLE = 'POOL_INCAPABLE';

const known = new WeakMap<PoolConfig[], Map<string, ReadonlySet<Capability>>>();

function unservedBy(pools: PoolConfig[], id: string): ReadonlySet<Capability> | undefined {
  let byPool = known.get(pools);
  if (byPool === undefined) {
    byPool = new Map(pools.map((pool) => [pool.id, unserved(pool)]));
    known.set(pools, byPool);
  }
  return byPool.get(id);
}

/** What a request requires and a pool does not serve; nothing of a pool that is not configured. */
export function lacking(pools: PoolConfig[], id: string, requires: readonly Requirement[]): Requirement[] {
  if (requires.length === 0) return [];
  const missing = unservedBy(pools, id);
  return requires.filter(({ capability }) => missing?.has(capability) === true);
}
