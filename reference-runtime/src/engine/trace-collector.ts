// Turns the addon's records into the routing of requests. The addon knows sequences; who holds one is known here.
import type { Gating } from '../gguf/gating.ts';
import type { Shim } from '../native/shim.ts';
import { chooseExperts } from './gate.ts';
import { gateEntropy, top2Margin } from './trace-math.ts';
import type { LayerTrace, RequestTrace, TraceLevel, TraceRows } from './types.ts';

const HEAD_INTS = 4;
/** Token-layers kept per request at level `full`; beyond it totals go on and the rest is counted as dropped. */
const ROW_LIMIT = 262_144;
/** And their bytes: what is larger no store keeps. */
const ROW_BYTES = 56 * 1024 * 1024;
/** Bytes of the addon's ring, whatever number of records is asked for: a record of a wide model is large. */
const RING_BYTES = 64 * 1024 * 1024;

/** What of a model the tracer needs to know. */
export interface RoutedShape {
  experts: number;
  expertsUsed: number;
  layers: number;
  gating: Gating;
}

/** One router's logits of one token. */
export interface RouterRecord {
  sequence: number;
  position: number;
  token: number;
  layer: number;
  logits: Float32Array;
}

/** The records in a buffer that the addon was drained of. */
export function* routerRecords(buffer: ArrayBuffer, experts: number): Generator<RouterRecord, void, undefined> {
  const stride = HEAD_INTS + experts;
  const ints = new Int32Array(buffer);
  const floats = new Float32Array(buffer);
  for (let at = 0; at + stride <= ints.length; at += stride)
    yield {
      sequence: ints[at] as number,
      position: ints[at + 1] as number,
      token: ints[at + 2] as number,
      layer: ints[at + 3] as number,
      logits: floats.subarray(at + HEAD_INTS, at + stride),
    };
}

/** Rows that grow: a wide model's take room by the megabyte, and plain arrays twice that. */
class Rows {
  readonly #experts: number;
  readonly #used: number;
  readonly #limit: number;
  #rows: TraceRows;
  #count = 0;

  constructor(experts: number, used: number) {
    this.#experts = experts;
    this.#used = used;
    this.#limit = Math.min(ROW_LIMIT, Math.floor(ROW_BYTES / (4 * experts + 2 * used + 12)));
    this.#rows = this.#sized(Math.min(this.#limit, 256));
  }

  #sized(rows: number, from?: TraceRows): TraceRows {
    const filled = <T extends Int32Array | Uint16Array | Float32Array>(column: T, values: T | undefined): T => {
      if (values !== undefined) column.set(values.subarray(0, column.length));
      return column;
    };
    return {
      experts: this.#experts,
      expertsUsed: this.#used,
      position: filled(new Int32Array(rows), from?.position),
      token: filled(new Int32Array(rows), from?.token),
      layer: filled(new Int32Array(rows), from?.layer),
      chosen: filled(new Uint16Array(rows * this.#used), from?.chosen),
      probabilities: filled(new Float32Array(rows * this.#experts), from?.probabilities),
    };
  }

  /** False when there is no room for it. */
  add({ position, token, layer }: RouterRecord, experts: readonly number[], probabilities: Float64Array): boolean {
    if (this.#count >= this.#limit) return false;
    const capacity = this.#rows.position.length;
    if (this.#count === capacity) this.#rows = this.#sized(Math.min(this.#limit, 2 * capacity), this.#rows);
    const row = this.#count++;
    this.#rows.position[row] = position;
    this.#rows.token[row] = token;
    this.#rows.layer[row] = layer;
    this.#rows.chosen.set(experts, row * this.#used);
    this.#rows.probabilities.set(probabilities, row * this.#experts);
    return true;
  }

  finish(): TraceRows {
    return this.#sized(this.#count, this.#rows);
  }
}

interface Open {
  layers: LayerTrace[];
  positions: Set<number>;
  droppedBefore: number;
  lost: number;
  rows: Rows | undefined;
}

/** Collects the routing of the requests that hold traced sequences. */
export class TraceCollector {
  readonly #shim: Shim;
  readonly #shape: RoutedShape;
  readonly #open = new Map<number, Open>();

  /** @throws RangeError for a model that is larger than the addon has room for */
  constructor(shim: Shim, shape: RoutedShape, records: number) {
    this.#shim = shim;
    this.#shape = shape;
    const bytes = 4 * (HEAD_INTS + shape.experts);
    const kept = Math.min(records, Math.floor(RING_BYTES / bytes));
    shim.configure(shape.experts, shape.layers, kept, shape.gating.biasedLogits);
  }

  /** Starts tracing a sequence for a new request. */
  begin(sequence: number, level: TraceLevel): void {
    this.drain();
    const { layers, experts, expertsUsed } = this.#shape;
    const stats = this.#shim.stats();
    this.#open.set(sequence, {
      layers: Array.from({ length: layers }, (_, layer) => ({
        layer,
        rows: 0,
        usage: new Array<number>(experts).fill(0),
        gateEntropyNats: 0,
        top2Margin: 0,
      })),
      positions: new Set(),
      droppedBefore: stats.dropped + stats.unattributed,
      lost: 0,
      rows: level === 'full' ? new Rows(experts, expertsUsed) : undefined,
    });
    this.#shim.trace(sequence, true);
  }

  /** Takes what the addon has recorded so far; cheap, called between tokens so that the ring stays short. */
  drain(): void {
    const buffer = this.#shim.drain();
    if (buffer.byteLength === 0) return;
    for (const record of routerRecords(buffer, this.#shape.experts)) {
      const open = this.#open.get(record.sequence);
      if (open !== undefined) this.#add(open, record);
    }
  }

  #add(open: Open, record: RouterRecord): void {
    const totals = open.layers[record.layer];
    if (totals === undefined) return;
    const { gating, expertsUsed } = this.#shape;
    const { probabilities, experts } = chooseExperts(gating, record.logits, record.layer, expertsUsed);
    totals.rows++;
    for (const expert of experts) totals.usage[expert] = (totals.usage[expert] ?? 0) + 1;
    totals.gateEntropyNats += gateEntropy(probabilities);
    totals.top2Margin += top2Margin(probabilities);
    open.positions.add(record.position);
    if (open.rows?.add(record, experts, probabilities) === false) open.lost++;
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
    return {
      tokensTraced: open.positions.size,
      prefixTokensReused: 0,
      dropped: stats.dropped + stats.unattributed - open.droppedBefore + open.lost,
      layers: layers.filter((totals) => totals.rows > 0),
      ...(open.rows === undefined ? {} : { rows: open.rows.finish() }),
    };
  }
}
