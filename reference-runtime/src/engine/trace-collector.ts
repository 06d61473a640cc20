// Turns the addon's records into the routing of requests. The addon knows sequences; who holds one is known here.
import type { Shim } from '../native/shim.ts';
import { gateEntropy, softmax, top2Margin, topExperts } from './trace-math.ts';
import type { LayerTrace, RequestTrace, TraceLevel } from './types.ts';

const HEAD_INTS = 4;
/** Token-layers kept per request at level `full`; beyond it totals go on and the rest is counted as dropped. */
const ROW_LIMIT = 262_144;

interface Open {
  level: TraceLevel;
  layers: LayerTrace[];
  positions: Set<number>;
  droppedBefore: number;
  lost: number;
  position: number[];
  token: number[];
  layer: number[];
  probabilities: number[];
}

/** Collects the routing of the requests that hold traced sequences. */
export class TraceCollector {
  readonly #shim: Shim;
  readonly #experts: number;
  readonly #used: number;
  readonly #layers: number;
  readonly #open = new Map<number, Open>();

  constructor(shim: Shim, shape: { experts: number; expertsUsed: number; layers: number }, records: number) {
    this.#shim = shim;
    this.#experts = shape.experts;
    this.#used = shape.expertsUsed;
    this.#layers = shape.layers;
    shim.configure(shape.experts, shape.layers, records);
  }

  /** Starts tracing a sequence for a new request. */
  begin(sequence: number, level: TraceLevel): void {
    this.drain();
    const layers = Array.from({ length: this.#layers }, (_, layer) => ({
      layer,
      rows: 0,
      usage: new Array<number>(this.#experts).fill(0),
      gateEntropyNats: 0,
      top2Margin: 0,
    }));
    const stats = this.#shim.stats();
    this.#open.set(sequence, {
      level,
      layers,
      positions: new Set(),
      droppedBefore: stats.dropped + stats.unattributed,
      lost: 0,
      position: [],
      token: [],
      layer: [],
      probabilities: [],
    });
    this.#shim.trace(sequence, true);
  }

  /** Takes what the addon has recorded so far; cheap, called between tokens so that the ring stays short. */
  drain(): void {
    const buffer = this.#shim.drain();
    if (buffer.byteLength === 0) return;
    const stride = HEAD_INTS + this.#experts;
    const ints = new Int32Array(buffer);
    const floats = new Float32Array(buffer);
    for (let at = 0; at + stride <= ints.length; at += stride) {
      const open = this.#open.get(ints[at] as number);
      if (open !== undefined)
        this.#add(
          open,
          ints[at + 1] as number,
          ints[at + 2] as number,
          ints[at + 3] as number,
          floats.subarray(at + HEAD_INTS, at + stride),
        );
    }
  }

  #add(open: Open, position: number, token: number, layer: number, logits: Float32Array): void {
    const totals = open.layers[layer];
    if (totals === undefined) return;
    const gate = softmax(logits);
    totals.rows++;
    for (const expert of topExperts(logits, this.#used)) totals.usage[expert] = (totals.usage[expert] ?? 0) + 1;
    totals.gateEntropyNats += gateEntropy(gate);
    totals.top2Margin += top2Margin(gate);
    open.positions.add(position);
    if (open.level !== 'full') return;
    if (open.position.length >= ROW_LIMIT) {
      open.lost++;
      return;
    }
    open.position.push(position);
    open.token.push(token);
    open.layer.push(layer);
    for (const probability of gate) open.probabilities.push(probability);
  }

  /** Ends tracing of a sequence and returns the request's routing, undefined when it was not traced. */
  end(sequence: number): RequestTrace | undefined {
    const open = this.#open.get(sequence);
    if (open === undefined) return undefined;
    this.#shim.trace(sequence, false);
    this.drain();
    this.#open.delete(sequence);
    const stats = this.#shim.stats();
    const layers = open.layers.map((totals) => ({
      ...totals,
      gateEntropyNats: totals.rows === 0 ? 0 : totals.gateEntropyNats / totals.rows,
      top2Margin: totals.rows === 0 ? 0 : totals.top2Margin / totals.rows,
    }));
    const trace: RequestTrace = {
      tokensTraced: open.positions.size,
      prefixTokensReused: 0,
      dropped: stats.dropped + stats.unattributed - open.droppedBefore + open.lost,
      layers: layers.filter((totals) => totals.rows > 0),
    };
    if (open.level === 'full') {
      trace.rows = {
        experts: this.#experts,
        expertsUsed: this.#used,
        position: Int32Array.from(open.position),
        token: Int32Array.from(open.token),
        layer: Int32Array.from(open.layer),
        probabilities: Float32Array.from(open.probabilities),
      };
    }
    return trace;
  }
}
