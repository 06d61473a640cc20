import { decodeText, parseYaml } from '../config/document.ts';
import type { Section } from '../config/load.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { Location } from '../core/finding.ts';
import type { FileTree } from '../core/gate-context.ts';
import { isObject, type Json } from '../core/json.ts';
import { loadPolicySource, parseData } from '../rego/source.ts';
import { normalise } from '../workspace/tree.ts';
import type { PolicyPrice } from './prices.ts';

/** Where the policy library keeps its pools, in the data document. */
const POOLS = ['fleet', 'pools'];
const COST = 'cost_per_mtok';
/** Larger documents are read without positions, which take far longer than the values. */
const MAX_LOCATED_BYTES = 1024 * 1024;

/** What the data of the routing policy says that each pool costs. Data that can't be read are the policy gate's finding. */
export async function readPolicyPrices(tree: FileTree, section: Section<'policy'>): Promise<readonly PolicyPrice[]> {
  const prices: PolicyPrice[] = [];
  try {
    const { dataFiles } = await loadPolicySource(tree, { roots: section.roots, data: section.data });
    for (const file of dataFiles) {
      const bytes = await tree.read(file);
      if (bytes !== undefined) prices.push(...pricesIn(file, bytes, folderOf(file, section)));
    }
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return [];
  }
  return prices;
}

/** The folders between a root and its data file are the path of its document, as `opa build --bundle` has it. */
function folderOf(file: string, section: Section<'policy'>): readonly string[] {
  if ((section.data ?? []).map(normalise).includes(file)) return [];
  const root = section.roots.map(normalise).find((one) => one === '' || file.startsWith(`${one}/`)) ?? '';
  return file
    .slice(root === '' ? 0 : root.length + 1)
    .split('/')
    .slice(0, -1);
}

function pricesIn(file: string, bytes: Uint8Array, folder: readonly string[]): readonly PolicyPrice[] {
  if (!folder.every((step, index) => POOLS[index] === step)) return [];
  const path = POOLS.slice(folder.length);
  const pools = path.reduce<Json | undefined>(
    (value, step) => (isObject(value) ? value[step] : undefined),
    parseData(bytes, file),
  );
  if (!isObject(pools)) return [];
  const costs = Object.entries(pools).flatMap(([pool, value]) => {
    const cost = isObject(value) ? value[COST] : undefined;
    return isObject(value) && typeof cost === 'number' ? [{ pool, model: value['model'], cost }] : [];
  });
  if (costs.length === 0) return [];
  const locate = locator(file, bytes);
  return costs.map(({ pool, model, cost }) => ({
    pool,
    model: typeof model === 'string' ? model : undefined,
    costPerMtok: cost,
    location: locate([...path, pool, COST]),
  }));
}

/** Where a path stands in the file; of one too large to be read with positions, the file alone. */
function locator(file: string, bytes: Uint8Array): (path: readonly string[]) => Location {
  try {
    const document = parseYaml(decodeText(bytes, file, MAX_LOCATED_BYTES), file);
    return (path) => document.locate(path);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return () => ({ file });
  }
}
