import type { Section } from '../../config/load.ts';
import { ConfigurationError } from '../../core/errors.ts';
import type { FileTree } from '../../core/gate-context.ts';
import { loadPolicySource, type PolicySource } from '../../rego/source.ts';
import { normalise } from '../../workspace/tree.ts';
import type { Opa } from '../opa.ts';
import type { EvaluatorPool } from '../pool.ts';
import { type Prepared, prepareSide, type Side } from '../side.ts';
import type { Collected } from './collected.ts';

/** The policy of base, as far as base has the files that the section names. */
export async function baseSource(tree: FileTree | undefined, section: Section<'policy'>): Promise<PolicySource | undefined> {
  if (tree === undefined) return undefined;
  const files = (await Promise.all(section.roots.map((root) => tree.list(normalise(root))))).flat();
  // A policy that is new on head has nothing to be compared with.
  if (!files.some((path) => path.endsWith('.rego'))) return undefined;
  const has = async (path: string | undefined): Promise<boolean> =>
    path !== undefined && (await tree.list(normalise(path))).length > 0;
  const data = (await Promise.all((section.data ?? []).map(async (path) => ((await has(path)) ? [path] : [])))).flat();
  const roots = (await Promise.all(section.roots.map(async (root) => ((await has(root)) ? [root] : [])))).flat();
  return loadPolicySource(tree, { roots, data, ...((await has(section.invariants)) ? { invariants: section.invariants } : {}) });
}

/** Base, ready to be evaluated; undefined, with the reason in `out`, when it can't be. */
export async function prepareBase(
  opa: Opa,
  pool: EvaluatorPool,
  base: PolicySource,
  section: Section<'policy'>,
  out: Collected,
): Promise<Side | undefined> {
  let prepared: Prepared;
  try {
    prepared = await prepareSide(opa, pool, base, section.entrypoints);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    prepared = { side: undefined, findings: [] };
  }
  if (prepared.side === undefined) {
    out.facts['decisionDiff'] = 'none: the policy of base does not compile, so there is nothing to compare with';
  }
  return prepared.side;
}
