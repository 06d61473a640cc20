// The two encodings of OTLP/HTTP (OTLP specification 1.9, "OTLP/HTTP Request"): JSON, and the same message in binary protobuf.
import type { Signal } from './signal.ts';

/** As OTEL_EXPORTER_OTLP_PROTOCOL names them. */
export const PROTOCOLS = ['http/json', 'http/protobuf'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** Content types of a request and of its answer, which has the same one. */
export const CONTENT_TYPE: Readonly<Record<Protocol, string>> = {
  'http/json': 'application/json',
  'http/protobuf': 'application/x-protobuf',
};

/** One encoding. `request` is an Export*ServiceRequest in the form that JSON has. */
export interface Encoding {
  encode(signal: Signal, request: object): Buffer;
  /** The Export*ServiceResponse, in the form that JSON has. @throws Error when the bytes are none */
  decode(signal: Signal, answer: Buffer): unknown;
}

const JSON_ENCODING: Encoding = {
  encode: (_signal, request) => Buffer.from(JSON.stringify(request)),
  decode: (_signal, answer) => JSON.parse(answer.toString('utf8')) as unknown,
};

/** The library for protobuf is loaded when it is first asked for: most runtimes never do. */
export async function encodingOf(protocol: Protocol): Promise<Encoding> {
  return protocol === 'http/json' ? JSON_ENCODING : (await import('./otlp-protobuf.ts')).PROTOBUF_ENCODING;
}

/** The encoding that a Content-Type names, parameters aside; undefined where it names none of OTLP's. */
export function protocolOf(contentType: string | undefined): Protocol | undefined {
  const type = contentType?.split(';')[0]?.trim().toLowerCase();
  return PROTOCOLS.find((protocol) => CONTENT_TYPE[protocol] === type);
}
