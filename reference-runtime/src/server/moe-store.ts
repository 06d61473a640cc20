// Router statistics of this runtime: totals since start, and the token-level traces of recent requests. Bounded in memory, whatever
// clients send.
import type { RequestTrace } from '../engine/types.ts';
import type { MoeSnapshot } from './moe-statistics.ts';
import { Totals, type TotalsSnapshot } from './moe-totals.ts';

/** Whose request was traced, and what served it. */
export interface TracedRequest {
  id: string;
  tenant: string;
  model: string;
  version: string;
  /** What the client says the request is about: `x-mixgate-segment`, else `x-mixgate-task`. */
  segment: string | undefined;
}

/** A kept trace. */
export interface KeptTrace extends TracedRequest {
  trace: RequestTrace;
  receivedMs: number;
}

/** A kept trace, in the list of them. */
export interface TraceEntry {
  decision_id: string;
  model: string;
  version: string;
  segment: string | null;
  ended: string;
  prompt_tokens: number;
  completion_tokens: number;
  dropped_rows: number;
}

/** Segments kept per tenant, and over all tenants; each is a model's layers x experts counters. */
const SEGMENTS_PER_TENANT = 32;
const SEGMENTS = 256;
/** Bytes of routing that are kept in all traces together; the oldest go first. */
const KEPT_BYTES = 64 * 1024 * 1024;
/** What a request that names no segment is counted under. */
const NO_SEGMENT = '(none)';

interface SegmentTotals {
  tenant: string;
  model: string;
  version: string;
  segment: string;
  totals: Totals;
}

const key = (...parts: string[]): string => JSON.stringify(parts);

function bytesOf({ rows, text }: RequestTrace): number {
  const columns = rows === undefined ? 0 : rows.probabilities.byteLength + rows.chosen.byteLength + 3 * rows.position.byteLength;
  return columns + (text === undefined ? 0 : text.ids.byteLength + text.texts.reduce((sum, piece) => sum + 2 * piece.length, 0));
}

/** Totals per model, version and segment, and a bounded store of recent traces. */
export class MoeStore {
  readonly #retain: number;
  readonly #ttlMs: number;
  readonly #since: string;
  readonly #models = new Map<string, { model: string; version: string; totals: Totals }>();
  readonly #segments = new Map<string, SegmentTotals>();
  readonly #overflow = new Map<string, number>();
  readonly #kept = new Map<string, KeptTrace & { bytes: number }>();
  #keptBytes = 0;

  /** @param since start of the counts, milliseconds since the epoch */
  constructor(retain: number, ttlSeconds: number, since: number) {
    this.#retain = retain;
    this.#ttlMs = ttlSeconds * 1000;
    this.#since = new Date(since).toISOString();
  }

  add(request: TracedRequest, trace: RequestTrace, nowMs: number): void {
    const { model, version } = request;
    const entry = this.#models.get(key(model, version)) ?? { model, version, totals: new Totals() };
    this.#models.set(key(model, version), entry);
    entry.totals.add(trace);
    this.#addSegment(request, trace);
    if (trace.rows !== undefined) this.#keep({ ...request, trace, receivedMs: nowMs }, nowMs);
  }

  #addSegment({ tenant, model, version, segment = NO_SEGMENT }: TracedRequest, trace: RequestTrace): void {
    const id = key(tenant, model, version, segment);
    const known = this.#segments.get(id);
    if (known !== undefined) {
      known.totals.add(trace);
      return;
    }
    // A client chooses the name: what one tenant sends must not take the others' place.
    const own = [...this.#segments.values()].filter((each) => each.tenant === tenant).length;
    if (own >= SEGMENTS_PER_TENANT || this.#segments.size >= SEGMENTS) {
      if (this.#overflow.size < SEGMENTS || this.#overflow.has(tenant))
        this.#overflow.set(tenant, (this.#overflow.get(tenant) ?? 0) + 1);
      return;
    }
    const totals = new Totals();
    totals.add(trace);
    this.#segments.set(id, { tenant, model, version, segment, totals });
  }

  #keep(kept: KeptTrace, nowMs: number): void {
    const bytes = bytesOf(kept.trace);
    if (this.#retain === 0 || bytes > KEPT_BYTES) return;
    this.#kept.set(kept.id, { ...kept, bytes });
    this.#keptBytes += bytes;
    // A Map keeps insertion order: the first are the oldest.
    for (const [id, old] of this.#kept) {
      const expired = old.receivedMs + this.#ttlMs <= nowMs;
      if (this.#kept.size <= this.#retain && this.#keptBytes <= KEPT_BYTES && !expired) break;
      this.#kept.delete(id);
      this.#keptBytes -= old.bytes;
    }
  }

  /** The kept trace of a request, if it is this tenant's and not yet expired. */
  get(id: string, tenant: string, nowMs: number): KeptTrace | undefined {
    const kept = this.#kept.get(id);
    return kept === undefined || kept.tenant !== tenant || kept.receivedMs + this.#ttlMs <= nowMs ? undefined : kept;
  }

  /** The tenant's kept traces, the latest first. */
  list(tenant: string, nowMs: number): TraceEntry[] {
    const own = [...this.#kept.values()].filter((kept) => this.get(kept.id, tenant, nowMs) !== undefined);
    return own.reverse().map(({ id, model, version, segment, receivedMs, trace: { text, dropped } }) => ({
      decision_id: id,
      model,
      version,
      segment: segment ?? null,
      ended: new Date(receivedMs).toISOString(),
      prompt_tokens: text?.promptTokens ?? 0,
      completion_tokens: (text?.ids.length ?? 0) - (text?.promptTokens ?? 0),
      dropped_rows: dropped,
    }));
  }

  /** Totals of every model as they are now; segments are those of `tenant`. */
  snapshot(tenant: string): MoeSnapshot {
    let cells = 0;
    const counted = (totals: Totals): TotalsSnapshot => {
      cells += totals.cells;
      return totals.snapshot();
    };
    const models = [...this.#models.values()].map(({ model, version, totals }) => ({
      model,
      version,
      totals: counted(totals),
      segments: [...this.#segments.values()]
        .filter((each) => each.tenant === tenant && each.model === model && each.version === version)
        .map(({ segment, totals: own }) => ({ segment, totals: counted(own) })),
    }));
    return { since: this.#since, segmentsOverflow: this.#overflow.get(tenant) ?? 0, cells, models };
  }
}
