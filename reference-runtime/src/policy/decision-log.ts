// The decision log, in the format of OPA's (OPA documentation, Decision Log Service API), one JSON object a line.
import type { LineFile } from '../telemetry/line-file.ts';
import type { LogRecord } from '../telemetry/otlp-logs.ts';
import type { DecisionEntry } from './decision-entry.ts';
import { decisionRecord } from './decision-record.ts';

/**
 * A copy of `document` without what `path` names from `depth` on; the copy is deep where it differs. Undefined when nothing was there. A
 * field that is undefined is none in JSON; an element of a list is null, so that the others keep their places.
 */
function erase(document: unknown, path: readonly string[], depth = 0): { value: unknown } | undefined {
  const key = path[depth];
  if (key === undefined || typeof document !== 'object' || document === null || !Object.hasOwn(document, key)) return undefined;
  if (Array.isArray(document) && !/^\d+$/.test(key)) return undefined;
  const held = (document as Record<string, unknown>)[key];
  if (held === undefined) return undefined;
  const inner = depth === path.length - 1 ? { value: undefined } : erase(held, path, depth + 1);
  if (inner === undefined) return undefined;
  if (!Array.isArray(document)) return { value: { ...document, [key]: inner.value } };
  return { value: document.with(Number(key), inner.value ?? null) };
}

/** The names in a JSON pointer (RFC 6901). */
function namesOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The log line of a decision, with the masked pointers erased and listed under `erased`. Undefined fields are none in JSON. */
export function decisionEvent(
  entry: DecisionEntry,
  labels: Record<string, string>,
  mask: readonly string[],
): Record<string, unknown> {
  let document: unknown = { input: entry.input, result: entry.result, custom: entry.custom };
  const erased: string[] = [];
  for (const pointer of mask) {
    const result = erase(document, namesOf(pointer));
    if (result === undefined) continue;
    document = result.value;
    erased.push(pointer);
  }
  const { input, result, custom } = document as { input?: unknown; result?: unknown; custom?: unknown };
  return {
    labels,
    decision_id: entry.decisionId,
    trace_id: entry.traceId,
    span_id: entry.spanId,
    bundles: { routing: { revision: entry.revision } },
    path: entry.path,
    input,
    result,
    custom,
    erased: erased.length === 0 ? undefined : erased,
    // With it OPA replays a decision that depends on the time (OPA documentation, Decision Logs, `nd_builtin_cache`).
    nd_builtin_cache: entry.clockNs === undefined ? undefined : { 'time.now_ns': { '[]': entry.clockNs } },
    error: entry.error === undefined ? undefined : { message: entry.error },
    requested_by: entry.requestedBy,
    timestamp: entry.timestamp.toISOString(),
    metrics: { timer_rego_query_eval_ns: entry.evaluationNs },
  };
}

/** Where decisions go: a file of lines in OPA's format, events over OTLP, or both. */
export interface DecisionSinks {
  file?: LineFile;
  record?: (record: LogRecord) => void;
}

/** Writes decisions, masked, to their sinks. */
export class DecisionLog {
  readonly #sinks: DecisionSinks;
  readonly #labels: Record<string, string>;
  readonly #mask: string[];

  constructor(sinks: DecisionSinks, labels: Record<string, string>, mask: string[]) {
    this.#sinks = sinks;
    this.#labels = labels;
    this.#mask = mask;
  }

  write(entry: DecisionEntry): void {
    const { file, record } = this.#sinks;
    file?.write(() => JSON.stringify(decisionEvent(entry, this.#labels, this.#mask)));
    record?.(decisionRecord(entry, decisionEvent(entry, this.#labels, this.#mask)));
  }
}
