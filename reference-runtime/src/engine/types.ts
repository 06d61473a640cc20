// The engine contract: what a server stage may ask of whatever generates tokens.
import type { MemoryPlan } from '../gguf/memory.ts';

/** One chat message, its content as text: what of others there is, only another server reads (`PassedOn`). */
export interface ChatMessage {
  role: 'system' | 'user' | 'assistant' | 'tool';
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
export type ResponseFormat =
  | { kind: 'json_object' }
  | {
      kind: 'json_schema';
      name: string;
      /** Absent where the grammar compiler cannot enforce it: only another server may take it then. */
      schema?: object;
      /** As the client sent it, with the rest of what it said of it. */
      original: object;
      strict?: boolean;
      description?: string;
    };

/** One generation. `logprobs` is how many alternatives to report per token (0 = the chosen one only), undefined = none. */
export interface GenerateRequest {
  id: string;
  prompt: Prompt;
  maxTokens: number;
  temperature: number;
  topP: number;
  seed?: number;
  /** OpenAI's API reference: each count of a token so far takes `frequencyPenalty` off its logit, and any `presencePenalty`; -2 to 2. */
  frequencyPenalty?: number;
  presencePenalty?: number;
  /** Token ids with what is added to their logits, -100 to 100. */
  logitBias?: ReadonlyArray<readonly [token: number, bias: number]>;
  /** Only so many of the most likely tokens are drawn from. */
  topK?: number;
  /** Only tokens at least so likely as this share of the most likely one are drawn from. */
  minP?: number;
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

export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter';

/** A piece of a streamed tool call, as OpenAI streams it: to the call at `index` its id and name come first, then its arguments in pieces. */
export interface ToolCallDelta {
  index?: number;
  id?: string;
  type?: string;
  function?: { name?: string; arguments?: string };
}

/** What of a streamed message is no content, in OpenAI's form and in that of vLLM, SGLang and llama-server for reasoning. */
export interface Delta {
  tool_calls?: ToolCallDelta[];
  refusal?: string;
  reasoning_content?: string;
  reasoning?: string;
}

/** OpenAI's `prompt_tokens_details` and `completion_tokens_details`, as another server counted them. */
export interface UsageDetails {
  prompt?: object;
  completion?: object;
}

export type EngineEvent =
  | { type: 'prompt'; tokens: number; scores?: TokenScore[] }
  /** `tail` marks text that was held back and belongs to no new token; `delta` is what came that is no text. */
  | { type: 'token'; text: string; score?: TokenScore; delta?: Delta; tail?: true }
  | {
      type: 'done';
      finishReason: FinishReason;
      promptTokens: number;
      completionTokens: number;
      details?: UsageDetails;
      trace?: RequestTrace;
    };

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
  /** Tokens; absent for another server's engine. */
  trainedContext?: number;
  trace: { available: boolean; reason: string };
  /** What loading was planned to take; absent for another server's engine. */
  memory?: MemoryPlan;
}

/** The reason with which a signal aborts at a request's deadline, by the name that AbortSignal.timeout gives it. */
export function deadlinePassed(): DOMException {
  return new DOMException('the deadline of the request has passed', 'TimeoutError');
}

/** Whether it was the deadline that aborted it, and not a client that went away. */
export function isPastDeadline({ reason }: AbortSignal): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError';
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

/** What of a body only another server reads: parsed parts of it, never copied. */
export interface PassedOn {
  /** In place of the prompt's, where those have more than text. */
  messages?: readonly object[];
  /** What changes the answer: tools, ... */
  parameters: Readonly<Record<string, unknown>>;
  /** What does not: metadata, store, ... No copy of a request has it. */
  bookkeeping: Readonly<Record<string, unknown>>;
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
  passed?: PassedOn;
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
  | 'BAD_LOGIT_BIAS'
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
