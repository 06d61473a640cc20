// The access log: one event per finished request over OTLP, with the trace it belongs to.
import type { Attributes } from '../telemetry/otlp.ts';
import type { LogRecord } from '../telemetry/otlp-logs.ts';
import { operationName, type RequestContext } from './context.ts';

/** The record of `context`, ended at `now` of the monotonic clock; `status` is the HTTP status, `errorType` set on failure. */
export function requestRecord(context: RequestContext, now: number, status: number, errorType?: string): LogRecord {
  const seconds = (now - context.receivedAt) / 1000;
  const attributes: Attributes = {
    'gen_ai.operation.name': operationName(context.request),
    'http.response.status_code': status,
    'mixgate.decision.id': context.decisionId,
    'mixgate.request.duration': { double: seconds },
    'gen_ai.response.model': context.target?.model,
    'gen_ai.usage.input_tokens': context.promptTokens > 0 ? context.promptTokens : undefined,
    'gen_ai.usage.output_tokens': context.engineStartedAt === undefined ? undefined : context.completionTokens,
    'mixgate.tenant': context.identity?.tenant,
    // Empty before a decision.
    'mixgate.policy.revision': context.revision === '' ? undefined : context.revision,
    'mixgate.policy.rule': context.decision?.rule,
    'mixgate.target.cluster': context.target?.cluster,
    'mixgate.target.pool': context.target?.pool,
    'mixgate.target.version': context.target?.version,
    'mixgate.fallback.reason': context.fallback ?? undefined,
    'error.type': errorType,
  };
  return {
    unixNano: context.receivedUnixNano + BigInt(Math.round(seconds * 1e9)),
    severity: errorType === undefined ? 'INFO' : status >= 500 ? 'ERROR' : 'WARN',
    eventName: 'mixgate.request.completed',
    body: `${status} in ${seconds.toFixed(3)} s`,
    attributes,
    traceId: context.traceId,
    spanId: context.spanId,
  };
}
