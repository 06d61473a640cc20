import type { CanaryPoint } from './points.ts';

/** The tokens of one prompt: how much harder each became, and the experts the baseline used for it. */
export interface TracedPrompt {
  /** Change of the negative log-likelihood per token, nats. */
  readonly changes: Float64Array;
  /** Cells (layer * experts + expert) per token. */
  readonly cells: readonly (readonly number[])[];
}

export interface TracedPrompts {
  readonly prompts: readonly TracedPrompt[];
  readonly layers: number;
  readonly experts: number;
}

const MIN_PROMPTS = 10;
/** What an endpoint may claim; and the size up to which all experts are regressed together. */
const MAX_LAYERS = 512;
const MAX_EXPERTS = 4096;
const MAX_CELLS = 1024;

/**
 * Reads `token_dnll` points of a block, in order of pairs. Words that don't parse are passed over: they come from an endpoint.
 * Undefined: fewer than 10 prompts, no expert ids, or a model larger than can be looked at as a whole.
 */
export function tracedPrompts(points: readonly CanaryPoint[], block: 'aa' | 'ab'): TracedPrompts | undefined {
  const rows: { pair: number; changes: number[]; ids: number[][][] }[] = [];
  let [layers, experts] = [0, 0];
  for (const point of points) {
    if (point.metric !== 'token_dnll' || point.tags['block'] !== block || point.tokens === undefined) continue;
    const row = { pair: point.pair, changes: [] as number[], ids: [] as number[][][] };
    for (const word of point.tokens.split(' ')) {
      const [change, routes] = word.split(':');
      const ids = routes?.split(',').map((chosen) => (chosen === '' ? [] : chosen.split('+').map(Number)));
      if (
        ids === undefined ||
        !Number.isFinite(Number(change)) ||
        !ids.flat().every((id) => Number.isInteger(id) && id >= 0 && id < MAX_EXPERTS)
      )
        continue;
      row.changes.push(Number(change));
      row.ids.push(ids);
      layers = Math.max(layers, ids.length);
      for (const id of ids.flat()) experts = Math.max(experts, id + 1);
    }
    if (row.changes.length > 0) rows.push(row);
  }
  if (rows.length < MIN_PROMPTS || layers > MAX_LAYERS || layers * experts > MAX_CELLS || experts === 0) return undefined;
  rows.sort((a, b) => a.pair - b.pair);
  const prompts = rows.map(({ changes, ids }) => ({
    changes: Float64Array.from(changes),
    cells: ids.map((chosen) => chosen.flatMap((list, layer) => list.map((expert) => layer * experts + expert))),
  }));
  return { prompts, layers, experts };
}
