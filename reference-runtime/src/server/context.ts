// What is known about one request while it goes through the stages.
import { randomUUID } from 'node:crypto';
import type { Capability } from '../config/capabilities.ts';
import type { RequestTrace, TraceLevel, UsageDetails } from '../engine/types.ts';
import type { Arm, Decision, PolicyInput, Target } from '../policy/policy.ts';
import { newSpanId, newTraceId } from '../telemetry/ids.ts';
import type { OperationName } from '../telemetry/metrics.ts';
import type { ParentContext } from '../telemetry/trace-context.ts';
import type { Cost, TokensUsed } from './cost.ts';
import type { Identity } from './identity.ts';
import type { CompletionRequest } from './openai.ts';

/** A stage's span in milliseconds of the monotonic clock. */
export interface StageTime {
  name: string;
  start: number;
  end: number;
  /** Set where another server was told of the span, as its parent. */
  spanId?: string;
}

/** Request headers a routing policy may read, and the opt-ins. */
export interface RequestAttributes {
  dataClass?: string | undefined;
  originRegion?: string | undefined;
  task?: string | undefined;
  priority?: string | undefined;
  session?: string | undefined;
  /** What router statistics are kept by; the policy does not see it. */
  segment?: string | undefined;
  includeTimings: boolean;
  includeMoe: boolean;
  /** Also the experts of each token, inside `moe`. */
  includeExperts: boolean;
}

/** One request in flight. */
export interface RequestContext {
  decisionId: string;
  receivedAt: number;
  /** Nanoseconds since the epoch at `receivedAt`. */
  receivedUnixNano: bigint;
  traceId: string;
  spanId: string;
  parentSpanId: string | undefined;
  /** Whether spans of the trace are recorded: what the caller says, yes without one (OpenTelemetry's default, ParentBased). */
  sampled: boolean;
  traceState: string | undefined;
  attributes: RequestAttributes;
  remote: string;
  /** The client's Authorization header: for an upstream server that checks it itself. */
  authorization?: string;
  stages: StageTime[];
  identity?: Identity;
  request?: CompletionRequest;
  revision: string;
  decision?: Decision;
  /** What the policy was asked, what it said, the time that it was told, and why it failed if it did: for the decision log. */
  asked?: {
    input: PolicyInput;
    timestamp: Date;
    result: unknown;
    clockNs: number | undefined;
    error: string | undefined;
  };
  /** The arm of the decision's split. */
  arm?: Arm;
  /** What became of the copy that the decision asks for; absent when this request is not one of its share. */
  shadow?: ShadowOutcome;
  expiredFlags: string[];
  /** Pools of the decision that do not serve what the request requires. */
  passedOver: PassedOver[];
  target?: Target;
  fallback: string | null;
  trace: TraceLevel;
  policyMs: number;
  queueMs: number;
  /** How long this request waited for its model to be loaded, within `queueMs`; absent when it was there. */
  coldStartMs?: number;
  engineStartedAt?: number;
  engineEndedAt?: number;
  tokenTimes: number[];
  /** Tokens of the prompt, estimated before an engine has counted them. */
  promptEstimate: number;
  /** Whether the client went away or the deadline passed. */
  aborted: boolean;
  promptTokens: number;
  completionTokens: number;
  /** As an upstream server told them. */
  usageDetails?: UsageDetails;
  /** Absent when the pool has no price, or nothing was computed. */
  cost?: Cost;
  finishReason?: string;
  routing?: RequestTrace;
}

export function newContext(
  now: number,
  unixMs: number,
  attributes: RequestAttributes,
  parent: ParentContext | undefined,
  remote: string,
): RequestContext {
  return {
    decisionId: randomUUID(),
    receivedAt: now,
    receivedUnixNano: BigInt(Math.round(unixMs * 1000)) * 1000n,
    traceId: parent?.traceId ?? newTraceId(),
    spanId: newSpanId(),
    parentSpanId: parent?.spanId,
    sampled: parent?.sampled ?? true,
    traceState: parent?.state,
    attributes,
    remote,
    stages: [],
    revision: '',
    expiredFlags: [],
    passedOver: [],
    fallback: null,
    trace: 'off',
    policyMs: 0,
    queueMs: 0,
    tokenTimes: [],
    promptEstimate: 0,
    aborted: false,
    promptTokens: 0,
    completionTokens: 0,
  };
}

/** A pool that a request was not sent to, and what it would have had to serve. */
export interface PassedOver {
  pool: string;
  missing: Capability[];
}

/** A copy that was sent, or the reason why not. */
export type ShadowOutcome =
  | 'SENT'
  | 'CAPACITY'
  | 'OFF'
  | 'LOCAL_POOL'
  | 'SAME_POOL'
  | 'POOL_UNREACHABLE'
  | 'POOL_INCAPABLE'
  | 'JURISDICTION';

/** Of the prompt, what the server had in a cache, where it says so (OpenAI, and vLLM with --enable-prompt-tokens-details). */
export function cachedTokens(details: UsageDetails | undefined): { cached?: number } {
  const cached = (details?.prompt as { cached_tokens?: unknown } | undefined)?.cached_tokens;
  return typeof cached === 'number' && cached > 0 ? { cached } : {};
}

/**
 * Tokens that the engine spent on the request: for quota, cost and metrics. An engine that finished says so itself. A request that
 * ended early spent its prompt (counted, or else estimated) and the tokens that came; one that failed before any came spent nothing.
 */
export function tokensUsed(context: RequestContext): TokensUsed {
  if (context.engineStartedAt === undefined) return { prompt: 0, completion: 0 };
  const finished = context.finishReason !== undefined;
  if (!finished && !context.aborted && context.tokenTimes.length === 0) return { prompt: 0, completion: 0 };
  return {
    prompt: context.promptTokens > 0 ? context.promptTokens : context.promptEstimate,
    ...cachedTokens(context.usageDetails),
    completion: finished ? context.completionTokens : context.tokenTimes.length,
  };
}

/** Time of the request so far that was neither queue nor engine, in milliseconds: what the gateway itself costs. */
export function overheadMs(context: RequestContext, now: number): number {
  const engine = context.engineStartedAt === undefined ? 0 : (context.engineEndedAt ?? now) - context.engineStartedAt;
  return Math.max(0, now - context.receivedAt - context.queueMs - engine);
}

/** Gaps between consecutive tokens in milliseconds. */
export function interTokenMs(context: RequestContext): number[] {
  return context.tokenTimes.slice(1).map((time, index) => time - (context.tokenTimes[index] as number));
}

/** What a request asks of the model, as `gen_ai.operation.name`. */
export function operationName(request: RequestContext['request']): OperationName {
  if (request?.endpoint === 'chat') return 'chat';
  return request?.echo === true && request.maxTokens === 0 ? 'score' : 'text_completion';
}
