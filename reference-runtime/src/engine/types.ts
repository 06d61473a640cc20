// The engine contract: what a server stage may ask of whatever generates tokens.
import type { MemoryPlan } from '../gguf/memory.ts';

/** One chat message; content is text. */
export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** What to continue. Token ids are used as they are; text is tokenised with a leading BOS. */
export type Prompt =
  | { kind: 'text'; text: string }
  | { kind: 'tokens'; tokens: number[] }
  | { kind: 'chat'; messages: ChatMessage[] };

/** How much of the routing to keep: nothing, totals per layer, or every token-layer too. */
export type TraceLevel = 'off' | 'summary' | 'full';

export type Priority = 1 | 2 | 3 | 4 | 5;

/** A grammar the text must follow. `schema` is in the dialect of node-llama-cpp's grammar compiler (server/response-format.ts). */
export type ResponseFormat = { kind: 'json_object' } | { kind: 'json_schema'; name: string; schema: object; original: object };

/** One generation. `logprobs` is how many alternatives to report per token (0 = the chosen one only), undefined = none. */
export interface GenerateRequest {
  id: string;
  prompt: Prompt;
  maxTokens: number;
  temperature: number;
  topP: number;
  seed?: number;
  stop: string[];
  format?: ResponseFormat;
  logprobs?: number;
  /** Scores the prompt too: a log probability for each of its tokens but the first. */
  echo: boolean;
  priority: Priority;
  trace: TraceLevel;
}

/** A token with its natural-log probability under the model's own distribution (temperature 1, no truncation); null for the first of a prompt. */
export interface TokenScore {
  id: number;
  text: string;
  bytes: number[];
  logprob: number | null;
  top: Array<{ id: number; text: string; bytes: number[]; logprob: number }>;
}

/** Totals of one layer over a request: slots per expert (sum = rows x experts used), means over rows. */
export interface LayerTrace {
  layer: number;
  rows: number;
  usage: number[];
  /** Mean entropy of the gate over all experts, in nats (0 to ln experts). */
  gateEntropyNats: number;
  /** Mean difference between the first and the second gate probability (0 to 1). */
  top2Margin: number;
}

/**
 * Every token-layer of a request, column by column. `probabilities` has `experts` values a row, which sum to 1; `chosen` has `expertsUsed`,
 * most probable first: the most probable ones, unless the router chooses by more than its scores (gguf/gating.ts).
 */
export interface TraceRows {
  experts: number;
  expertsUsed: number;
  position: Int32Array;
  token: Int32Array;
  layer: Int32Array;
  chosen: Uint16Array;
  probabilities: Float32Array;
}

/** The routing of one request. */
export interface RequestTrace {
  tokensTraced: number;
  prefixTokensReused: number;
  /** Token-layers lost to a full ring or to the row limit; when above 0 the totals are incomplete. */
  dropped: number;
  layers: LayerTrace[];
  rows?: TraceRows;
  /** With `rows`: what the positions are. */
  text?: TraceText;
}

/** The tokens of a request by position, prompt first. The last one generated has no rows: nothing was computed after it. */
export interface TraceText {
  promptTokens: number;
  ids: Int32Array;
  /** As `TokenScore.text`, but bytes that are no UTF-8 by themselves as OpenAI writes them: `bytes:\xe2`. */
  texts: string[];
}

export type FinishReason = 'stop' | 'length';

export type EngineEvent =
  | { type: 'prompt'; tokens: number; scores?: TokenScore[] }
  /** `tail` marks text that was held back and belongs to no new token. */
  | { type: 'token'; text: string; score?: TokenScore; tail?: true }
  | { type: 'done'; finishReason: FinishReason; promptTokens: number; completionTokens: number; trace?: RequestTrace };

/** What an engine says about itself once loaded. */
export interface EngineInfo {
  engine: 'llama' | 'upstream';
  model: string;
  context: number;
  sequences: number;
  threads: number;
  gpu: string;
  loadMs: number;
  layers: number;
  experts: number;
  expertsUsed: number;
  parameters: number;
  fileBytes: number;
  trace: { available: boolean; reason: string };
  /** What loading was planned to take; absent for another server's engine. */
  memory?: MemoryPlan;
}

/** Memory of the GPU in bytes, by whomever it is used. */
export interface DeviceMemory {
  usedBytes: number;
  totalBytes: number;
}

/** What an upstream engine has seen. `attempts` are calls by how they ended. */
export interface UpstreamStats {
  circuit: 'closed' | 'half-open' | 'open';
  opened: number;
  attempts: { answered: number; failed: number; cancelled: number };
  retries: number;
  hedges: number;
}

/** Tokens that the router tracer recorded or lost, and the rows it saw. */
export interface TraceCounters {
  recorded: number;
  dropped: number;
  unattributed: number;
  pending: number;
  capacity: number;
  steps: number;
  rows: number;
  /** Rows by the ggml backend that computed them, of the process that runs now. */
  backends: Record<string, number>;
}

/** Counters and gauges; bytes where the name says so. */
export interface EngineStats {
  /** `unloaded`: no process, but the next request starts one. */
  state: 'loading' | 'ready' | 'restarting' | 'failed' | 'unloaded' | 'disposed';
  active: number;
  sequences: number;
  restarts: number;
  /** Why a failed engine stays failed, where there is more to say than that. */
  reason?: string;
  rssBytes: number;
  /** Absent without a GPU, and while no process asks it. */
  vram?: DeviceMemory;
  upstream?: UpstreamStats;
  trace?: TraceCounters;
}

/** Who asks and in which trace: for engines that pass a request on to another server. */
export interface CallContext {
  tenant: string;
  workload: string;
  /** The client's own Authorization header. */
  authorization?: string;
  /** The W3C traceparent of the engine's span. */
  traceparent: string;
  /** The caller's tracestate. */
  tracestate?: string;
  /** Whether the client reads token by token. */
  streaming: boolean;
  /** A copy whose answer nobody sees. */
  shadow?: boolean;
}

/** A generator of tokens. `generate` ends with a `done` event, or throws EngineError; aborting the signal ends it early without one. */
export interface Engine {
  load(): Promise<EngineInfo>;
  generate(request: GenerateRequest, signal: AbortSignal, call?: CallContext): AsyncIterable<EngineEvent>;
  stats(): EngineStats;
  dispose(): Promise<void>;
}

export type EngineErrorCode =
  | 'ENGINE_UNAVAILABLE'
  | 'ENGINE_DIED'
  | 'CONTEXT_EXCEEDED'
  | 'BAD_PROMPT'
  | 'BAD_FORMAT'
  | 'LOAD_FAILED'
  | 'UPSTREAM_ERROR';

/** A failure of the engine with a code that the server maps to a status and a fallback reason. */
export class EngineError extends Error {
  readonly code: EngineErrorCode;
  /** How long until another request may be served, in milliseconds, where that is known. */
  readonly retryAfterMs: number | undefined;
  constructor(code: EngineErrorCode, message: string, retryAfterMs?: number) {
    super(message);
    this.name = 'EngineError';
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}
