// What a request may require that not every pool serves, and what pools serve. The names are a contract: the configuration, the policy's
// input and the decision log have them. schemas/runtime.schema.json lists the same ones, which a test holds.

interface CapabilityDefinition {
  /** What of a request requires it: for messages and documentation. */
  what: string;
  /** Whether the llama engine of this runtime serves it. */
  local: boolean;
  /** Whether an upstream server is taken to serve it where its pool says nothing. What depends on the model is not. */
  upstream: boolean;
}

export const CAPABILITIES = {
  tools: { what: 'tool definitions, tool calls and their results', local: false, upstream: true },
  json_schema_full: { what: 'JSON Schema beyond what the local grammars enforce', local: false, upstream: true },
  reasoning_effort: { what: 'how much a reasoning model may think', local: false, upstream: true },
  image_input: { what: 'images in messages', local: false, upstream: false },
  audio_input: { what: 'audio in messages', local: false, upstream: false },
  file_input: { what: 'files in messages', local: false, upstream: false },
  penalties: { what: 'frequency_penalty and presence_penalty', local: true, upstream: true },
  logit_bias: { what: 'biases of single tokens', local: true, upstream: true },
  top_k: { what: 'sampling from the k most likely tokens', local: true, upstream: true },
  min_p: { what: 'sampling above a share of the most likely', local: true, upstream: true },
} as const satisfies Record<string, CapabilityDefinition>;

export type Capability = keyof typeof CAPABILITIES;

/** Every capability, in the order in which they are listed everywhere. */
export const CAPABILITY_NAMES = Object.keys(CAPABILITIES) as Capability[];

/** What a pool does not serve. Of a pool that this runtime cannot reach only what its configuration denies is known. */
export function unserved(pool: {
  engine?: 'local' | object;
  capabilities?: Partial<Record<Capability, boolean>>;
}): ReadonlySet<Capability> {
  const { engine, capabilities = {} } = pool;
  const served = (name: Capability): boolean =>
    engine === 'local' ? CAPABILITIES[name].local : (capabilities[name] ?? (engine === undefined || CAPABILITIES[name].upstream));
  return new Set(CAPABILITY_NAMES.filter((name) => !served(name)));
}
