// The decision log, in the format of OPA's (OPA documentation, Decision Log Service API), one JSON object a line.
import type { LineFile } from '../telemetry/line-file.ts';
import type { LogRecord } from '../telemetry/otlp-logs.ts';
import type { DecisionEntry } from './decision-entry.ts';
import { decisionRecord } from './decision-record.ts';

/** A copy of `document` without what `pointer` names; the copy is deep where it differs. Undefined when nothing was there. */
function erase(document: unknown, path: string[]): { value: unknown } | undefined {
  const [key, ...rest] = path;
  if (key === undefined || typeof document !== 'object' || document === null || !Object.hasOwn(document, key)) return undefined;
  if (Array.isArray(document)) return undefined;
  const copy = { ...document } as Record<string, unknown>;
  if (rest.length === 0) {
    delete copy[key];
    return { value: copy };
  }
  const inner = erase(copy[key], rest);
  if (inner === undefined) return undefined;
  copy[key] = inner.value;
  return { value: copy };
}

/** The log line of a decision, with the masked pointers erased and listed under `erased`. */
export function decisionEvent(entry: DecisionEntry, labels: Record<string, string>, mask: string[]): Record<string, unknown> {
  let document: unknown = { input: entry.input, result: entry.result, custom: entry.custom };
  const erased: string[] = [];
  for (const pointer of mask) {
    const result = erase(document, pointer.split('/').slice(1));
    if (result === undefined) continue;
    document = result.value;
    erased.push(pointer);
  }
  const { input, result, custom } = document as { input?: unknown; result?: unknown; custom?: unknown };
  return {
    labels,
    decision_id: entry.decisionId,
    ...(entry.traceId === undefined ? {} : { trace_id: entry.traceId }),
    ...(entry.spanId === undefined ? {} : { span_id: entry.spanId }),
    bundles: { routing: { revision: entry.revision } },
    path: entry.path,
    input,
    ...(result === undefined ? {} : { result }),
    ...(custom === undefined ? {} : { custom }),
    ...(erased.length === 0 ? {} : { erased }),
    ...(entry.error === undefined ? {} : { error: { message: entry.error } }),
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
