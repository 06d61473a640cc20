// Whether a body has the form that OpenAI's API gives it, and in words where it does not. What it means is in openai.ts.
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { nearest } from '../../../src/config/suggest.ts';
import { badRequest, type HttpError } from './errors.ts';
import { type Body, bookkeeping, chat, completions } from './openai-schema.ts';

export type Endpoint = 'completions' | 'chat';

/** Parameters that change what is generated and are served nowhere, with the values that mean "not asked for"; empty ones do too. */
const NOWHERE: Record<string, unknown[]> = {
  best_of: [1],
  suffix: [''],
  functions: [],
  function_call: ['none', 'auto'],
  modalities: [],
  audio: [],
};
const UNSUPPORTED: Record<Endpoint, Record<string, unknown[]>> = {
  // Tools are of chat; that several calls may be parallel says nothing without them.
  completions: { ...NOWHERE, tools: [], tool_choice: ['none', 'auto'], parallel_tool_calls: [true, false] },
  chat: NOWHERE,
};

export const BOOKKEEPING = Object.keys(bookkeeping);

const served = (properties: object): string[] => [
  ...Object.keys(properties).filter((key) => key === 'user' || !BOOKKEEPING.includes(key)),
  'response_format',
];
/** The parameters that a client may have meant. */
const SERVED: Record<Endpoint, string[]> = { completions: served(completions.properties), chat: served(chat.properties) };
const KNOWN: Record<Endpoint, ReadonlySet<string>> = {
  completions: new Set([...SERVED.completions, ...BOOKKEEPING, ...Object.keys(UNSUPPORTED.completions)]),
  chat: new Set([...SERVED.chat, ...BOOKKEEPING, ...Object.keys(UNSUPPORTED.chat)]),
};

const PENALTY = 'a number from -2 to 2';
const FLAG = 'true or false';
const NAME = 'a name of up to 256 characters';

/** What each parameter takes, in words; `*` stands for any place of a list. */
const EXPECTED: Record<string, string> = {
  '': 'a JSON object',
  echo: FLAG,
  frequency_penalty: PENALTY,
  logit_bias: 'an object of up to 1024 token ids with numbers from -100 to 100',
  max_completion_tokens: 'a whole number of at least 1',
  messages: 'a list of 1 to 1024 messages',
  'messages.*': 'an object with role and content',
  'messages.*.role': 'system, developer, user, assistant or tool',
  'messages.*.content': 'a text, or a list of parts',
  'messages.*.content.*': 'an object with type and what it is the type of',
  'messages.*.content.*.type': 'text, image_url, input_audio or file',
  'messages.*.content.*.text': 'a text',
  'messages.*.content.*.image_url': 'an object with a url',
  'messages.*.content.*.image_url.url': 'a data:, http: or https: URL',
  'messages.*.content.*.input_audio': 'an object with data and format',
  'messages.*.content.*.file': 'an object with file_data or file_id',
  'messages.*.name': NAME,
  'messages.*.tool_call_id': 'the id of a tool call',
  'messages.*.tool_calls': 'a list of up to 256 tool calls',
  'messages.*.tool_calls.*': 'an object with id, type and function',
  'messages.*.tool_calls.*.type': 'function',
  'messages.*.tool_calls.*.function': 'an object with name and arguments',
  'messages.*.tool_calls.*.function.name': NAME,
  'messages.*.tool_calls.*.function.arguments': 'a text of JSON',
  metadata: 'an object of up to 64 texts',
  min_p: 'a number from 0 to 1',
  model: 'the name of a model, as GET /v1/models lists it',
  n: 'a whole number of at least 1',
  parallel_tool_calls: FLAG,
  presence_penalty: PENALTY,
  prompt: 'a text, a list of one text, or a list of token ids',
  'prompt.*': 'a text, or the id of a token',
  reasoning_effort: 'a text such as low, medium or high',
  seed: 'a whole number of up to 64 bits',
  stop: 'a text of up to 1024 characters, or a list of up to 16 of them',
  'stop.*': 'a text of up to 1024 characters',
  store: FLAG,
  stream: FLAG,
  stream_options: 'an object',
  'stream_options.include_usage': FLAG,
  temperature: 'a number from 0 to 2',
  tool_choice: 'none, auto, required, or an object that names a function',
  tools: 'a list of up to 256 tools',
  'tools.*': 'an object with type and function',
  'tools.*.type': 'function, the only kind of tool',
  'tools.*.function': 'an object with a name, and parameters as JSON Schema',
  'tools.*.function.name': NAME,
  'tools.*.function.parameters': 'an object: JSON Schema',
  top_k: 'a whole number of at least 1; 0 or -1 for no limit',
  top_logprobs: 'a whole number from 0 to 20',
  top_p: 'a number from 0 to 1',
  user: 'a text of up to 1024 characters',
};
/** Those that the two endpoints have in different forms. */
const EXPECTED_AT: Record<Endpoint, Record<string, string>> = {
  completions: { logprobs: 'a whole number from 0 to 20', max_tokens: 'a whole number of at least 0' },
  chat: { logprobs: FLAG, max_tokens: 'a whole number of at least 1' },
};

/** What a client wrote for the model, or the model for a tool: errors go to telemetry, where it has no place. */
const CONTENT = /^(?:messages\.\*\.(?:content|tool_calls|tool_call_id|name)|tools|prompt|metadata)(?:\.|$)/;

const ajv = new Ajv2020({ strict: false, allErrors: false });
const checks = { completions: ajv.compile(completions), chat: ajv.compile(chat) };

const MAX_SHOWN = 60;

/** A value as an error shows it: short, whatever it is. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const written = JSON.stringify(value) ?? 'nothing';
  return written.length <= MAX_SHOWN ? written : `${written.slice(0, MAX_SHOWN)}...`;
}

function valueAt(body: unknown, path: string[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], body);
}

/** What is wrong with a body: the parameter furthest down that something is wrong with, what it takes and what it was. */
function invalid(endpoint: Endpoint, body: unknown): HttpError {
  const errors = checks[endpoint].errors ?? [];
  const depth = (error: ErrorObject | undefined): number => error?.instancePath.split('/').length ?? 0;
  const error = errors.reduce<ErrorObject | undefined>((best, each) => (depth(each) > depth(best) ? each : best), undefined);
  const path = (error?.instancePath ?? '').split('/').slice(1);
  const { missingProperty: missing } = (error?.params ?? {}) as { missingProperty?: string };
  const at = missing === undefined ? path : [...path, missing];
  const pattern = at.map((key) => (/^\d+$/.test(key) ? '*' : key)).join('.');
  // What is inside a value without words of its own is described as the value.
  const expected = EXPECTED_AT[endpoint][pattern] ?? EXPECTED[pattern] ?? EXPECTED[at[0] ?? ''] ?? 'another value';
  const name = at.length === 0 ? 'the body' : at.join('.').slice(0, 2 * MAX_SHOWN);
  const value = missing === undefined ? valueAt(body, path) : undefined;
  const got = CONTENT.test(pattern) && typeof value === 'string' ? 'another text' : shown(value);
  return badRequest(
    missing === undefined ? `${name}: expected ${expected}, got ${got}` : `${name}: missing; expected ${expected}`,
    at.length === 0 ? undefined : name,
    missing === undefined ? 'invalid_value' : 'missing_parameter',
  );
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function refuseUnsupported(endpoint: Endpoint, body: object): void {
  for (const [parameter, value] of Object.entries(body) as Array<[string, unknown]>) {
    if (!KNOWN[endpoint].has(parameter)) {
      const guess = nearest(parameter, SERVED[endpoint]);
      throw badRequest(
        `${shown(parameter)} is not a parameter of this endpoint here${guess === undefined ? '' : ` (did you mean ${guess}?)`}; known: ${SERVED[endpoint].join(', ')}`,
        parameter.slice(0, MAX_SHOWN),
        'unknown_parameter',
      );
    }
    const harmless = Object.hasOwn(UNSUPPORTED[endpoint], parameter) ? UNSUPPORTED[endpoint][parameter] : undefined;
    if (harmless === undefined || value === null || harmless.includes(value) || isEmpty(value)) continue;
    // One modality, and it is text: what every client that names them asks for.
    if (parameter === 'modalities' && Array.isArray(value) && value.every((each) => each === 'text')) continue;
    throw badRequest(`${parameter} is not supported by this runtime`, parameter, 'unsupported_parameter');
  }
}

/** Checks the form of a body. @throws HttpError 400 naming the parameter */
export function checkShape(endpoint: Endpoint, body: unknown): Body {
  if (!checks[endpoint](body)) throw invalid(endpoint, body);
  refuseUnsupported(endpoint, body as object);
  return body as Body;
}
