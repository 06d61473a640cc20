// W3C Trace Context, level 1: what a caller says of the trace it is in (https://www.w3.org/TR/trace-context/, sections 3.2 and 3.3).

/** The caller's place in a trace. */
export interface ParentContext {
  traceId: string;
  spanId: string;
  /** Whether the caller records its spans: then ours are as well, else they would hang in the air. */
  sampled: boolean;
  /** Its tracestate: handed on as it came. */
  state?: string;
}

/** Bits of `flags` of a span (opentelemetry-proto, trace.proto, SpanFlags). */
export const SPAN_FLAGS = { sampled: 0x1, knowsRemote: 0x100, remote: 0x200 } as const;

const PARENT = /^(?<version>[0-9a-f]{2})-(?<trace>[0-9a-f]{32})-(?<span>[0-9a-f]{16})-(?<flags>[0-9a-f]{2})(?<rest>-.*)?$/s;
const SAMPLED = 0x1;

const MEMBERS = 32;
const STATE_CHARACTERS = 512;
const KEY = /^(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})$/;
const VALUE = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** A tracestate that can be handed on, undefined where it is malformed or longer than everybody must take (section 3.3.1). */
export function parseTracestate(header: string | undefined): string | undefined {
  if (header === undefined || header.length > STATE_CHARACTERS) return undefined;
  const members = header
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');
  const keys = members.map((member) => member.slice(0, Math.max(0, member.indexOf('='))));
  const sound = members.every((member, index) => {
    const key = keys[index] as string;
    return KEY.test(key) && VALUE.test(member.slice(key.length + 1));
  });
  return sound && members.length > 0 && members.length <= MEMBERS && new Set(keys).size === keys.length
    ? members.join(',')
    : undefined;
}

/** What the headers say, undefined where traceparent is absent or malformed: then tracestate counts for nothing (section 3.3). */
export function parseTraceContext(traceparent: string | undefined, tracestate?: string): ParentContext | undefined {
  const { version, trace, span, flags, rest } = PARENT.exec(traceparent ?? '')?.groups ?? {};
  if (version === undefined || trace === undefined || span === undefined || flags === undefined) return undefined;
  // A later version may have more; this one has not (section 3.2.4).
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (/^0+$/.test(trace) || /^0+$/.test(span)) return undefined;
  const state = parseTracestate(tracestate);
  return {
    traceId: trace,
    spanId: span,
    sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0,
    ...(state === undefined ? {} : { state }),
  };
}
