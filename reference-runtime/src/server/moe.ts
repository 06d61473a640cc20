// What the routing of one request says, in the shapes of the HTTP surface.
import { expertWeights, gateEntropy, top2Margin, usageBalance } from '../engine/trace-math.ts';
import type { LayerTrace, RequestTrace, TraceRows } from '../engine/types.ts';

/** What the response's `mixgate.moe` object holds. */
export interface MoeSummary {
  tokens_traced: number;
  prefix_tokens_reused: number;
  dropped_rows: number;
  layers: Array<{ layer: number; rows: number; usage: number[]; gate_entropy_nats: number; top2_margin: number }>;
}

export function moeSummary(trace: RequestTrace): MoeSummary {
  return {
    tokens_traced: trace.tokensTraced,
    prefix_tokens_reused: trace.prefixTokensReused,
    dropped_rows: trace.dropped,
    layers: trace.layers.map((layer) => ({
      layer: layer.layer,
      rows: layer.rows,
      usage: layer.usage,
      gate_entropy_nats: layer.gateEntropyNats,
      top2_margin: layer.top2Margin,
    })),
  };
}

/** Statistics of one layer. `usage` counts slots: its sum is rows x experts used. Definitions: UsageBalance, LayerTrace. */
export interface LayerStats {
  layer: number;
  rows: number;
  usage: number[];
  share: number[];
  usage_entropy_ratio: number;
  skew: number;
  balancedness: number;
  gate_entropy_nats: number;
  top2_margin: number;
}

export function layerStats({ layer, rows, usage, gateEntropyNats, top2Margin: margin }: LayerTrace): LayerStats {
  const { share, normalizedEntropy, skew, jain } = usageBalance(usage);
  return {
    layer,
    rows,
    usage,
    share,
    usage_entropy_ratio: normalizedEntropy,
    skew,
    balancedness: jain,
    gate_entropy_nats: gateEntropyNats,
    top2_margin: margin,
  };
}

/** The chosen experts of one row, most probable first. */
export function chosenExperts({ chosen, expertsUsed }: TraceRows, row: number): number[] {
  return [...chosen.subarray(row * expertsUsed, (row + 1) * expertsUsed)];
}

/**
 * The experts of each position and layer, `[position][layer][expert ids, most probable first]`: enough to attribute a change of
 * likelihood to experts, a hundredth of a full trace. A layer that was not computed for a position has an empty list.
 */
export function expertIds(rows: TraceRows): number[][][] {
  const ids: number[][][] = [];
  for (let index = 0; index < rows.position.length; index++) {
    const [position, layer] = [rows.position[index] as number, rows.layer[index] as number];
    while (ids.length <= position) ids.push([]);
    const layers = ids[position] as number[][];
    while (layers.length <= layer) layers.push([]);
    layers[layer] = chosenExperts(rows, index);
  }
  return ids;
}

/** One token of a trace, layer by layer. A layer that was not computed for the token is absent. */
export interface TokenTrace {
  position: number;
  token: number;
  text: string;
  part: 'prompt' | 'completion';
  layers: LayerGate[];
}

/** The gate of one token in one layer. `experts` are the chosen ones, most probable first, `weights` theirs (sum 1). */
export interface LayerGate {
  layer: number;
  experts: number[];
  weights: number[];
  /** The gate over all experts: their scores as shares. */
  probabilities: number[];
  gate_entropy_nats: number;
  top2_margin: number;
}

/** Indices of rows by position: those of position p are `order[start[p]] .. order[start[p + 1] - 1]`, in the order they were recorded. */
function byPosition(position: Int32Array, positions: number): { start: Int32Array; order: Int32Array } {
  const start = new Int32Array(positions + 1);
  const known = (at: number): boolean => at >= 0 && at < positions;
  for (const at of position) if (known(at)) start[at + 1] = (start[at + 1] as number) + 1;
  for (let at = 0; at < positions; at++) start[at + 1] = (start[at + 1] as number) + (start[at] as number);
  const next = start.slice();
  const order = new Int32Array(start[positions] as number);
  for (const [index, at] of position.entries())
    if (known(at)) {
      order[next[at] as number] = index;
      next[at] = (next[at] as number) + 1;
    }
  return { start, order };
}

/**
 * Every token of a traced request in order, one at a time: all of them together are large. Inside a token by layer. The last token
 * generated has no layers: nothing follows it.
 */
export function* eachToken({ rows, text }: RequestTrace): Generator<TokenTrace, void, undefined> {
  if (rows === undefined || text === undefined) return;
  const { start, order } = byPosition(rows.position, text.texts.length);
  const gateOf = (index: number): LayerGate => {
    const gate = rows.probabilities.subarray(index * rows.experts, (index + 1) * rows.experts);
    const experts = chosenExperts(rows, index);
    return {
      layer: rows.layer[index] as number,
      experts,
      weights: expertWeights(gate, experts),
      probabilities: [...gate],
      gate_entropy_nats: gateEntropy(gate),
      top2_margin: top2Margin(gate),
    };
  };
  for (const [position, token] of text.texts.entries()) {
    const own = order.subarray(start[position], start[position + 1]);
    yield {
      position,
      token: text.ids[position] as number,
      text: token,
      part: position < text.promptTokens ? 'prompt' : 'completion',
      layers: Array.from(own, gateOf).sort((a, b) => a.layer - b.layer),
    };
  }
}

/** All of them. */
export function tokenTraces(trace: RequestTrace): TokenTrace[] {
  return [...eachToken(trace)];
}
