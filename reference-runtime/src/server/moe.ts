// Router statistics of this runtime: totals since start, and the token-level traces of recent requests.
import { expertWeights, gateEntropy, top2Margin, topExperts, usageBalance } from '../engine/trace-math.ts';
import type { RequestTrace, TraceRows } from '../engine/types.ts';

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
    layers[layer] = topExperts(rows.probabilities.subarray(index * rows.experts, (index + 1) * rows.experts), rows.expertsUsed);
  }
  return ids;
}

/** One token of a trace, layer by layer. A layer that was not computed for the token is absent. */
export interface TokenTrace {
  position: number;
  token: number;
  layers: Array<{
    layer: number;
    experts: number[];
    weights: number[];
    probabilities: number[];
    gate_entropy_nats: number;
    top2_margin: number;
  }>;
}

/** Rows grouped by position; inside a token by layer. */
export function tokenTraces(rows: TraceRows): TokenTrace[] {
  const byPosition = new Map<number, TokenTrace>();
  for (let index = 0; index < rows.position.length; index++) {
    const position = rows.position[index] as number;
    const gate = rows.probabilities.subarray(index * rows.experts, (index + 1) * rows.experts);
    const experts = topExperts(gate, rows.expertsUsed);
    const entry = byPosition.get(position) ?? { position, token: rows.token[index] as number, layers: [] };
    byPosition.set(position, entry);
    entry.layers.push({
      layer: rows.layer[index] as number,
      experts,
      weights: expertWeights(gate, experts),
      probabilities: [...gate],
      gate_entropy_nats: gateEntropy(gate),
      top2_margin: top2Margin(gate),
    });
  }
  for (const entry of byPosition.values()) entry.layers.sort((a, b) => a.layer - b.layer);
  return [...byPosition.values()].sort((a, b) => a.position - b.position);
}

interface Totals {
  rows: number;
  usage: number[];
  entropySum: number;
  marginSum: number;
}

interface Kept {
  tenant: string;
  model: string;
  trace: RequestTrace;
  expiresMs: number;
}

/** Totals per model and layer, and a bounded store of recent traces. */
export class MoeStore {
  readonly #retain: number;
  readonly #ttlMs: number;
  readonly #totals = new Map<string, { requests: number; incomplete: number; layers: Map<number, Totals> }>();
  readonly #kept = new Map<string, Kept>();

  constructor(retain: number, ttlSeconds: number) {
    this.#retain = retain;
    this.#ttlMs = ttlSeconds * 1000;
  }

  add(id: string, tenant: string, model: string, trace: RequestTrace, nowMs: number): void {
    const totals = this.#totals.get(model) ?? { requests: 0, incomplete: 0, layers: new Map<number, Totals>() };
    this.#totals.set(model, totals);
    totals.requests++;
    if (trace.dropped > 0) totals.incomplete++;
    for (const layer of trace.layers) {
      const into = totals.layers.get(layer.layer) ?? { rows: 0, usage: layer.usage.map(() => 0), entropySum: 0, marginSum: 0 };
      totals.layers.set(layer.layer, into);
      into.rows += layer.rows;
      into.usage = into.usage.map((count, expert) => count + (layer.usage[expert] ?? 0));
      into.entropySum += layer.gateEntropyNats * layer.rows;
      into.marginSum += layer.top2Margin * layer.rows;
    }
    if (trace.rows === undefined || this.#retain === 0) return;
    this.#kept.set(id, { tenant, model, trace, expiresMs: nowMs + this.#ttlMs });
    // A Map keeps insertion order: the first are the oldest.
    for (const [key, kept] of this.#kept) {
      if (this.#kept.size <= this.#retain && kept.expiresMs > nowMs) break;
      this.#kept.delete(key);
    }
  }

  /** The kept trace of a request, if it is this tenant's and not yet expired. */
  get(id: string, tenant: string, nowMs: number): { model: string; trace: RequestTrace } | undefined {
    const kept = this.#kept.get(id);
    return kept === undefined || kept.tenant !== tenant || kept.expiresMs <= nowMs ? undefined : kept;
  }

  stats(): object {
    return {
      models: [...this.#totals].map(([model, totals]) => ({
        model,
        requests_traced: totals.requests,
        requests_incomplete: totals.incomplete,
        layers: [...totals.layers]
          .sort(([a], [b]) => a - b)
          .map(([layer, into]) => {
            const balance = usageBalance(into.usage);
            return {
              layer,
              rows: into.rows,
              usage: into.usage,
              share: balance.share,
              usage_entropy_ratio: balance.normalizedEntropy,
              skew: balance.skew,
              balancedness: balance.jain,
              gate_entropy_nats: into.entropySum / into.rows,
              top2_margin: into.marginSum / into.rows,
            };
          }),
      })),
    };
  }
}
