// OpenAI's request bodies as TypeScript has them and as JSON Schema, with bounds on what is counted or nested.

/** A part of a message's content. */
export interface ContentPart {
  type: 'text' | 'image_url' | 'input_audio' | 'file';
  text?: string;
}

/** A message of a chat; others read what else it has. */
export interface WireMessage {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  content?: string | ContentPart[] | null;
  name?: string | null;
  tool_call_id?: string;
  tool_calls?: object[] | null;
}

/** A body whose form was checked. */
export interface Body {
  model?: string | null;
  prompt?: string | string[] | number[];
  messages?: WireMessage[];
  max_tokens?: number | null;
  max_completion_tokens?: number | null;
  temperature?: number | null;
  top_p?: number | null;
  top_k?: number | null;
  min_p?: number | null;
  frequency_penalty?: number | null;
  presence_penalty?: number | null;
  logit_bias?: Record<string, number> | null;
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
  tools?: Array<{ function: { name: string } }> | null;
  tool_choice?: string | { type: string; function?: { name: string } } | null;
  parallel_tool_calls?: boolean | null;
  reasoning_effort?: string | null;
}

const text = (maxLength: number): object => ({ type: ['string', 'null'], maxLength });
const penalty = { type: ['number', 'null'], minimum: -2, maximum: 2 };
const flag = { type: ['boolean', 'null'] };

const shared = {
  model: { type: ['string', 'null'], minLength: 1, maxLength: 256 },
  temperature: { type: ['number', 'null'], minimum: 0, maximum: 2 },
  top_p: { type: ['number', 'null'], minimum: 0, maximum: 1 },
  top_k: { type: ['integer', 'null'], minimum: -1, maximum: 2 ** 31 - 1 },
  min_p: { type: ['number', 'null'], minimum: 0, maximum: 1 },
  frequency_penalty: penalty,
  presence_penalty: penalty,
  logit_bias: {
    type: ['object', 'null'],
    maxProperties: 1024,
    propertyNames: { pattern: '^(0|[1-9][0-9]{0,8})$' },
    additionalProperties: { type: 'number', minimum: -100, maximum: 100 },
  },
  seed: { type: ['integer', 'null'], minimum: -(2 ** 63), maximum: 2 ** 63 },
  stop: {
    anyOf: [
      { type: 'null' },
      { type: 'string', maxLength: 1024 },
      { type: 'array', maxItems: 16, items: { type: 'string', maxLength: 1024 } },
    ],
  },
  stream: flag,
  stream_options: { type: ['object', 'null'], properties: { include_usage: flag } },
  n: { type: ['integer', 'null'], minimum: 1 },
};

/** OpenAI's parameters that change nothing of the answer: for their bookkeeping, caches and tiers. */
export const bookkeeping = {
  user: text(1024),
  metadata: { type: ['object', 'null'], maxProperties: 64, additionalProperties: { type: 'string', maxLength: 1024 } },
  prompt_cache_key: text(1024),
  prompt_cache_retention: text(64),
  safety_identifier: text(1024),
  service_tier: text(64),
  store: flag,
};

export const completions = {
  type: 'object',
  required: ['prompt'],
  properties: {
    ...shared,
    ...bookkeeping,
    prompt: {
      anyOf: [
        { type: 'string' },
        { type: 'array', minItems: 1, items: { type: 'string' } },
        { type: 'array', minItems: 1, items: { type: 'integer', minimum: 0 } },
      ],
    },
    max_tokens: { type: ['integer', 'null'], minimum: 0 },
    logprobs: { type: ['integer', 'null'], minimum: 0, maximum: 20 },
    echo: flag,
  },
};

const name = { type: 'string', minLength: 1, maxLength: 256 };
/** An object of one kind, whose kind has the same name as the member that describes it. */
const kind = (type: string, required: string[], properties: object): object => ({
  if: { properties: { type: { const: type } } },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: { required: [type], properties: { [type]: { type: 'object', required, properties } } },
});

const contentPart = {
  type: 'object',
  // In this order: of a part of another kind, its type is what is wrong.
  allOf: [
    { required: ['type'], properties: { type: { enum: ['text', 'image_url', 'input_audio', 'file'] } } },
    {
      if: { properties: { type: { const: 'text' } } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: { required: ['text'], properties: { text: { type: 'string' } } },
    },
    // The server behind opens what is named: nothing of its own file system.
    kind('image_url', ['url'], {
      url: { type: 'string', pattern: '^(data:|https?://)' },
      detail: { type: 'string', maxLength: 64 },
    }),
    kind('input_audio', ['data', 'format'], { data: { type: 'string' }, format: { type: 'string', maxLength: 64 } }),
    kind('file', [], { file_data: { type: 'string' }, file_id: name, filename: name }),
  ],
};

export const chat = {
  type: 'object',
  required: ['messages'],
  properties: {
    ...shared,
    ...bookkeeping,
    messages: {
      type: 'array',
      minItems: 1,
      maxItems: 1024,
      items: {
        type: 'object',
        required: ['role'],
        properties: {
          role: { enum: ['system', 'developer', 'user', 'assistant', 'tool'] },
          content: { anyOf: [{ type: 'string' }, { type: 'array', minItems: 1, items: contentPart }, { type: 'null' }] },
          name: text(256),
          tool_call_id: { type: 'string', maxLength: 1024 },
          tool_calls: {
            type: ['array', 'null'],
            maxItems: 256,
            items: {
              type: 'object',
              required: ['id', 'type', 'function'],
              properties: {
                id: { type: 'string', maxLength: 1024 },
                type: { const: 'function' },
                function: {
                  type: 'object',
                  required: ['name', 'arguments'],
                  properties: { name, arguments: { type: 'string' } },
                },
              },
            },
          },
        },
      },
    },
    max_tokens: { type: ['integer', 'null'], minimum: 1 },
    max_completion_tokens: { type: ['integer', 'null'], minimum: 1 },
    logprobs: flag,
    top_logprobs: { type: ['integer', 'null'], minimum: 0, maximum: 20 },
    tools: {
      type: ['array', 'null'],
      maxItems: 256,
      items: {
        type: 'object',
        allOf: [
          { required: ['type'], properties: { type: { const: 'function' } } },
          kind('function', ['name'], { name, description: { type: 'string' }, parameters: { type: 'object' }, strict: flag }),
        ],
      },
    },
    tool_choice: {
      anyOf: [
        { enum: [null, 'none', 'auto', 'required'] },
        {
          type: 'object',
          required: ['type'],
          properties: {
            type: { enum: ['function', 'allowed_tools'] },
            function: { type: 'object', required: ['name'], properties: { name } },
            allowed_tools: { type: 'object' },
          },
        },
      ],
    },
    parallel_tool_calls: flag,
    reasoning_effort: text(32),
  },
};
