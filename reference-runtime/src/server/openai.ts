// OpenAI's request bodies, checked once at the boundary. What is not served is refused by name, never ignored.
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { nearest } from '../../../src/config/suggest.ts';
import type { ChatMessage, Prompt, ResponseFormat } from '../engine/types.ts';
import { badRequest, type HttpError } from './errors.ts';
import { parseResponseFormat } from './response-format.ts';

/** A request of either endpoint in one form. */
export interface CompletionRequest {
  endpoint: 'completions' | 'chat';
  /** The end user, as the client names one. */
  user: string | undefined;
  model: string | undefined;
  prompt: Prompt;
  /** The prompt's text where it was given as text: what `echo` returns. */
  promptText: string | undefined;
  maxTokens: number | undefined;
  temperature: number;
  topP: number;
  seed: number | undefined;
  stop: string[];
  format: ResponseFormat | undefined;
  logprobs: number | undefined;
  echo: boolean;
  stream: boolean;
  includeUsage: boolean;
}

const shared = {
  model: { type: ['string', 'null'], minLength: 1, maxLength: 256 },
  temperature: { type: ['number', 'null'], minimum: 0, maximum: 2 },
  top_p: { type: ['number', 'null'], minimum: 0, maximum: 1 },
  seed: { type: ['integer', 'null'], minimum: -(2 ** 63), maximum: 2 ** 63 },
  stop: {
    anyOf: [
      { type: 'null' },
      { type: 'string', maxLength: 1024 },
      { type: 'array', maxItems: 16, items: { type: 'string', maxLength: 1024 } },
    ],
  },
  stream: { type: ['boolean', 'null'] },
  stream_options: { type: ['object', 'null'], properties: { include_usage: { type: ['boolean', 'null'] } } },
  n: { type: ['integer', 'null'], minimum: 1 },
  user: { type: ['string', 'null'], maxLength: 1024 },
};

const completions = {
  type: 'object',
  required: ['prompt'],
  properties: {
    ...shared,
    prompt: {
      anyOf: [
        { type: 'string' },
        { type: 'array', minItems: 1, items: { type: 'string' } },
        { type: 'array', minItems: 1, items: { type: 'integer', minimum: 0 } },
      ],
    },
    max_tokens: { type: ['integer', 'null'], minimum: 0 },
    logprobs: { type: ['integer', 'null'], minimum: 0, maximum: 20 },
    echo: { type: ['boolean', 'null'] },
  },
};

const chat = {
  type: 'object',
  required: ['messages'],
  properties: {
    ...shared,
    messages: {
      type: 'array',
      minItems: 1,
      maxItems: 1024,
      items: {
        type: 'object',
        required: ['role', 'content'],
        properties: {
          role: { enum: ['system', 'developer', 'user', 'assistant'] },
          content: {
            anyOf: [
              { type: 'string' },
              {
                type: 'array',
                minItems: 1,
                items: {
                  type: 'object',
                  // In this order: of an image, its type is what is wrong.
                  allOf: [
                    { required: ['type'], properties: { type: { const: 'text' } } },
                    { required: ['text'], properties: { text: { type: 'string' } } },
                  ],
                },
              },
            ],
          },
        },
      },
    },
    max_tokens: { type: ['integer', 'null'], minimum: 1 },
    max_completion_tokens: { type: ['integer', 'null'], minimum: 1 },
    logprobs: { type: ['boolean', 'null'] },
    top_logprobs: { type: ['integer', 'null'], minimum: 0, maximum: 20 },
  },
};

/** Parameters that change what is generated and are not served, with the values that mean "not asked for"; empty ones do too. */
const UNSUPPORTED: Record<string, unknown[]> = {
  best_of: [1],
  suffix: [''],
  tools: [],
  functions: [],
  function_call: ['none', 'auto'],
  tool_choice: ['none', 'auto'],
  frequency_penalty: [0],
  presence_penalty: [0],
  logit_bias: [],
  modalities: [],
  audio: [],
};

/** OpenAI's parameters that change nothing of the answer: for their bookkeeping, caches and tiers. */
const WITHOUT_EFFECT = [
  'metadata',
  'parallel_tool_calls',
  'prompt_cache_key',
  'prompt_cache_retention',
  'safety_identifier',
  'service_tier',
  'store',
];

const SERVED = {
  completions: [...Object.keys(completions.properties), 'response_format'],
  chat: [...Object.keys(chat.properties), 'response_format'],
};
const KNOWN = {
  completions: new Set([...SERVED.completions, ...Object.keys(UNSUPPORTED), ...WITHOUT_EFFECT]),
  chat: new Set([...SERVED.chat, ...Object.keys(UNSUPPORTED), ...WITHOUT_EFFECT]),
};

/** What each parameter takes, in words; `*` stands for any place of a list. */
const EXPECTED: Record<string, string> = {
  '': 'a JSON object',
  echo: 'true or false',
  max_completion_tokens: 'a whole number of at least 1',
  messages: 'a list of 1 to 1024 messages',
  'messages.*': 'an object with role and content',
  'messages.*.role': 'system, developer, user or assistant (tools are not supported)',
  'messages.*.content': 'a text, or a list of text parts',
  'messages.*.content.*': 'an object with type and text',
  'messages.*.content.*.type': 'text, the only kind of content that this model reads',
  'messages.*.content.*.text': 'a text',
  model: 'the name of a model, as GET /v1/models lists it',
  n: 'a whole number of at least 1',
  prompt: 'a text, a list of one text, or a list of token ids',
  'prompt.*': 'a text, or the id of a token',
  seed: 'a whole number of up to 64 bits',
  stop: 'a text of up to 1024 characters, or a list of up to 16 of them',
  'stop.*': 'a text of up to 1024 characters',
  stream: 'true or false',
  stream_options: 'an object',
  'stream_options.include_usage': 'true or false',
  temperature: 'a number from 0 to 2',
  top_logprobs: 'a whole number from 0 to 20',
  top_p: 'a number from 0 to 1',
  user: 'a text of up to 1024 characters',
};
/** Those that the two endpoints have in different forms. */
const EXPECTED_AT = {
  completions: { logprobs: 'a whole number from 0 to 20', max_tokens: 'a whole number of at least 0' },
  chat: { logprobs: 'true or false', max_tokens: 'a whole number of at least 1' },
};

interface Body {
  model?: string | null;
  prompt?: string | string[] | number[];
  messages?: Array<{ role: string; content: string | Array<{ text: string }> }>;
  max_tokens?: number | null;
  max_completion_tokens?: number | null;
  temperature?: number | null;
  top_p?: number | null;
  seed?: number | null;
  stop?: string | string[] | null;
  logprobs?: number | boolean | null;
  top_logprobs?: number | null;
  echo?: boolean | null;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean | null } | null;
  n?: number | null;
  response_format?: unknown;
  user?: string | null;
}

const ajv = new Ajv2020({ strict: false, allErrors: false });
const checks = { completions: ajv.compile<Body>(completions), chat: ajv.compile<Body>(chat) };

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function refuseUnsupported(endpoint: 'completions' | 'chat', body: object): void {
  for (const [name, value] of Object.entries(body) as Array<[string, unknown]>) {
    if (!KNOWN[endpoint].has(name)) {
      const guess = nearest(name, SERVED[endpoint]);
      throw badRequest(
        `${shown(name)} is not a parameter of this endpoint here${guess === undefined ? '' : ` (did you mean ${guess}?)`}; known: ${SERVED[endpoint].join(', ')}`,
        name.slice(0, MAX_SHOWN),
        'unknown_parameter',
      );
    }
    const harmless = Object.hasOwn(UNSUPPORTED, name) ? UNSUPPORTED[name] : undefined;
    if (harmless === undefined || value === null || harmless.includes(value) || isEmpty(value)) continue;
    // One modality, and it is text: what every client that names them asks for.
    if (name === 'modalities' && Array.isArray(value) && value.every((each) => each === 'text')) continue;
    throw badRequest(`${name} is not supported by this runtime`, name, 'unsupported_parameter');
  }
}

const MAX_SHOWN = 60;

/** A value as an error shows it: short, whatever it is. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}...`;
}

function valueAt(body: unknown, path: string[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], body);
}

/** What is wrong with a body: the parameter furthest down that something is wrong with, what it takes and what it was. */
function invalid(endpoint: 'completions' | 'chat', body: unknown): HttpError {
  const errors = checks[endpoint].errors ?? [];
  const depth = (error: ErrorObject | undefined): number => error?.instancePath.split('/').length ?? 0;
  const error = errors.reduce<ErrorObject | undefined>((best, each) => (depth(each) > depth(best) ? each : best), undefined);
  const path = (error?.instancePath ?? '').split('/').slice(1);
  const missing = errors.length === 1 ? (error?.params as { missingProperty?: string } | undefined)?.missingProperty : undefined;
  const at = missing === undefined ? path : [...path, missing];
  const pattern = at.map((key) => (/^\d+$/.test(key) ? '*' : key)).join('.');
  const expected = (EXPECTED_AT[endpoint] as Record<string, string>)[pattern] ?? EXPECTED[pattern] ?? 'another value';
  const name = at.length === 0 ? 'the body' : at.join('.');
  const what =
    missing === undefined ? `expected ${expected}, got ${shown(valueAt(body, path))}` : `missing; expected ${expected}`;
  return badRequest(
    `${name}: ${what}`,
    at.length === 0 ? undefined : at.join('.'),
    missing === undefined ? 'invalid_value' : 'missing_parameter',
  );
}

/** Checks a body and brings it into one form. @throws HttpError 400 naming the parameter */
export function parseRequest(endpoint: 'completions' | 'chat', body: unknown): CompletionRequest {
  const check = checks[endpoint];
  if (!check(body)) throw invalid(endpoint, body);
  refuseUnsupported(endpoint, body);
  if ((body.n ?? 1) > 1)
    throw badRequest(
      `n = ${body.n}: this runtime makes one completion per request; send the request ${body.n} times`,
      'n',
      'unsupported_value',
    );
  // A nucleus of nothing holds the most likely token still: what temperature 0 takes.
  const greedy = body.top_p === 0;
  const common = {
    model: body.model ?? undefined,
    user: body.user || undefined,
    temperature: greedy ? 0 : (body.temperature ?? 1),
    topP: greedy ? 1 : (body.top_p ?? 1),
    seed: body.seed ?? undefined,
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    format: parseResponseFormat(body.response_format),
    stream: body.stream ?? false,
    includeUsage: body.stream_options?.include_usage ?? false,
  };
  if (endpoint === 'completions') {
    const { prompt, text } = completionPrompt(body.prompt as string | string[] | number[]);
    const echo = body.echo ?? false;
    if (echo && text === undefined) throw badRequest('echo needs a prompt given as text', 'echo');
    return {
      ...common,
      endpoint,
      prompt,
      promptText: text,
      maxTokens: body.max_tokens ?? 16,
      logprobs: (body.logprobs as number | null | undefined) ?? undefined,
      echo,
    };
  }
  const messages = (body.messages ?? []).map(
    (message): ChatMessage => ({
      role: message.role === 'developer' ? 'system' : (message.role as ChatMessage['role']),
      content: typeof message.content === 'string' ? message.content : message.content.map((part) => part.text).join(''),
    }),
  );
  if (body.top_logprobs != null && body.logprobs !== true) throw badRequest('top_logprobs needs logprobs: true', 'top_logprobs');
  return {
    ...common,
    endpoint,
    prompt: { kind: 'chat', messages },
    promptText: undefined,
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
    logprobs: body.logprobs === true ? (body.top_logprobs ?? 0) : undefined,
    echo: false,
  };
}

function completionPrompt(prompt: string | string[] | number[]): { prompt: Prompt; text: string | undefined } {
  if (typeof prompt === 'string') return { prompt: { kind: 'text', text: prompt }, text: prompt };
  const first = prompt[0];
  if (typeof first === 'number') return { prompt: { kind: 'tokens', tokens: prompt as number[] }, text: undefined };
  if (prompt.length > 1)
    throw badRequest(`prompt has ${prompt.length} texts: this runtime takes one per request`, 'prompt', 'unsupported_value');
  return { prompt: { kind: 'text', text: first as string }, text: first as string };
}
