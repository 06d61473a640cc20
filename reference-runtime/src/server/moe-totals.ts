// Routing of many requests added up. Counters are typed arrays, so that a snapshot of all of them is a copy of memory and not a walk.
import type { RequestTrace } from '../engine/types.ts';

/** Totals as they were at one time: plain data, which a thread can be handed. */
export interface TotalsSnapshot {
  requests: number;
  incomplete: number;
  layers: Array<{ layer: number; rows: number; entropySum: number; marginSum: number }>;
  /** Slots by expert, layer after layer in the order of `layers`; as many experts in each. */
  usage: Float64Array;
}

interface LayerTotals {
  rows: number;
  usage: Float64Array;
  entropySum: number;
  marginSum: number;
}

export class Totals {
  #requests = 0;
  #incomplete = 0;
  readonly #layers = new Map<number, LayerTotals>();

  /** How many counters there are. */
  get cells(): number {
    let cells = 0;
    for (const { usage } of this.#layers.values()) cells += usage.length;
    return cells;
  }

  add(trace: RequestTrace): void {
    this.#requests++;
    if (trace.dropped > 0) this.#incomplete++;
    for (const layer of trace.layers) {
      const into = this.#layers.get(layer.layer) ?? {
        rows: 0,
        usage: new Float64Array(layer.usage.length),
        entropySum: 0,
        marginSum: 0,
      };
      this.#layers.set(layer.layer, into);
      into.rows += layer.rows;
      for (const [expert, count] of layer.usage.entries()) into.usage[expert] = (into.usage[expert] ?? 0) + count;
      into.entropySum += layer.gateEntropyNats * layer.rows;
      into.marginSum += layer.top2Margin * layer.rows;
    }
  }

  snapshot(): TotalsSnapshot {
    const layers = [...this.#layers].sort(([a], [b]) => a - b);
    const usage = new Float64Array(this.cells);
    let at = 0;
    for (const [, { usage: own }] of layers) {
      usage.set(own, at);
      at += own.length;
    }
    return {
      requests: this.#requests,
      incomplete: this.#incomplete,
      layers: layers.map(([layer, { rows, entropySum, marginSum }]) => ({ layer, rows, entropySum, marginSum })),
      usage,
    };
  }
}
