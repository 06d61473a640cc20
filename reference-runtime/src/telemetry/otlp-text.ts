// Spans as lines of a file. Every request served ends here: put together as text it takes half of what an object does that is then made
// into text. A property test compares the two.
import {
  type Attributes,
  type AttributeValue,
  anyValue,
  attributes,
  type Resource,
  SCHEMA_URL,
  type Scope,
  type Span,
  type SpanEvent,
} from './otlp.ts';

const quote = (text: string): string => JSON.stringify(text);

/** The beginnings of attributes by name: names come from this code, so there are few. */
const beginnings = new Map<string, string>();

function beginning(key: string): string {
  let text = beginnings.get(key);
  if (text === undefined) {
    text = `{"key":${quote(key)},"value":`;
    beginnings.set(key, text);
  }
  return text;
}

function valueText(value: AttributeValue): string {
  if (typeof value === 'string') return `{"stringValue":${quote(value)}}`;
  return JSON.stringify(anyValue(value));
}

function attributesText(values: Attributes): string {
  let text = '';
  for (const key of Object.keys(values)) {
    const value = values[key];
    if (value !== undefined) text += `${text === '' ? '' : ','}${beginning(key)}${valueText(value)}}`;
  }
  return `[${text}]`;
}

function eventText({ name, unixNano, attributes: values = {} }: SpanEvent): string {
  return `{"name":${quote(name)},"timeUnixNano":"${unixNano}","attributes":${attributesText(values)}}`;
}

function spanText({
  traceId,
  spanId,
  parentSpanId,
  traceState,
  flags,
  name,
  kind,
  start,
  end,
  attributes: values,
  events,
  error,
}: Span): string {
  const state = traceState === undefined ? '' : `,"traceState":${quote(traceState)}`;
  const parent = parentSpanId === undefined ? '' : `,"parentSpanId":"${parentSpanId}"`;
  const bits = flags === undefined ? '' : `,"flags":${flags}`;
  const eventList = events === undefined || events.length === 0 ? '' : `,"events":[${events.map(eventText).join(',')}]`;
  const status = error === undefined ? '{}' : `{"code":2,"message":${quote(error)}}`;
  return `{"traceId":"${traceId}","spanId":"${spanId}"${state}${parent}${bits},"name":${quote(name)},"kind":${kind},"startTimeUnixNano":"${start}","endTimeUnixNano":"${end}","attributes":${attributesText(values)}${eventList},"status":${status}}`;
}

/** Writes spans as the JSON text of `exportRequest`. Ids are hex and times integers, so that they need no quoting. */
export function spansEncoder(resource: Resource, scope: Scope): (spans: readonly Span[]) => string {
  const schema = `"schemaUrl":${quote(SCHEMA_URL)}`;
  const head = `{"resourceSpans":[{"resource":{"attributes":${JSON.stringify(attributes(resource))}},"scopeSpans":[{"scope":${JSON.stringify(scope)},"spans":[`;
  const tail = `],${schema}}],${schema}}]}`;
  return (spans) => `${head}${spans.map(spanText).join(',')}${tail}`;
}
