// OpenAI's request bodies, checked once at the boundary. What is not served is refused by name, never ignored.
import { Ajv2020 } from 'ajv/dist/2020.js';
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
  model: { type: 'string', minLength: 1, maxLength: 256 },
  temperature: { type: ['number', 'null'], minimum: 0, maximum: 2 },
  top_p: { type: ['number', 'null'], exclusiveMinimum: 0, maximum: 1 },
  seed: { type: ['integer', 'null'], minimum: 0, maximum: 4294967295 },
  stop: {
    anyOf: [
      { type: 'null' },
      { type: 'string', maxLength: 1024 },
      { type: 'array', maxItems: 16, items: { type: 'string', maxLength: 1024 } },
    ],
  },
  stream: { type: ['boolean', 'null'] },
  stream_options: { type: ['object', 'null'], properties: { include_usage: { type: 'boolean' } } },
  n: { type: ['integer', 'null'], minimum: 1 },
  user: { type: 'string', maxLength: 1024 },
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
                  required: ['type', 'text'],
                  properties: { type: { const: 'text' }, text: { type: 'string' } },
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

/** Parameters that change what is generated and are not served: value that means "not asked for". */
const UNSUPPORTED: Record<string, unknown[]> = {
  best_of: [1],
  suffix: [''],
  tools: [],
  functions: [],
  tool_choice: ['none'],
  frequency_penalty: [0],
  presence_penalty: [0],
  logit_bias: [{}],
  modalities: [['text']],
  audio: [],
};

interface Body {
  model?: string;
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
  stream_options?: { include_usage?: boolean } | null;
  n?: number | null;
  response_format?: unknown;
  user?: string;
}

const ajv = new Ajv2020({ strict: false, allErrors: false });
const checks = { completions: ajv.compile<Body>(completions), chat: ajv.compile<Body>(chat) };

function refuseUnsupported(body: object): void {
  for (const [name, harmless] of Object.entries(UNSUPPORTED)) {
    const value: unknown = (body as Record<string, unknown>)[name];
    if (value === undefined || value === null || harmless.some((ok) => JSON.stringify(ok) === JSON.stringify(value))) continue;
    throw badRequest(`${name} is not supported by this runtime`, name, 'unsupported_parameter');
  }
}

function invalid(endpoint: 'completions' | 'chat'): HttpError {
  const error = checks[endpoint].errors?.[0];
  const missing = (error?.params as { missingProperty?: string } | undefined)?.missingProperty;
  const param = [...(error?.instancePath ?? '').split('/').slice(1), ...(missing === undefined ? [] : [missing])].join('.');
  return badRequest(
    `${param === '' ? 'the body' : param}: ${error?.message ?? 'is not valid'}`,
    param === '' ? undefined : param,
    missing === undefined ? 'invalid_value' : 'missing_parameter',
  );
}

/** Checks a body and brings it into one form. @throws HttpError 400 naming the parameter */
export function parseRequest(endpoint: 'completions' | 'chat', body: unknown): CompletionRequest {
  const check = checks[endpoint];
  if (!check(body)) throw invalid(endpoint);
  refuseUnsupported(body);
  if ((body.n ?? 1) > 1)
    throw badRequest(
      `n = ${body.n}: this runtime makes one completion per request; send the request ${body.n} times`,
      'n',
      'unsupported_value',
    );
  const common = {
    model: body.model,
    user: body.user === '' ? undefined : body.user,
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
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
