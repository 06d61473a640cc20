// Stage 7: what a finished request leaves behind.
import { operationName, overheadMs, type RequestContext, tokensUsed } from './context.ts';
import type { HttpError } from './errors.ts';
import { countGovernance, logDecision } from './governance.ts';
import { requestRecord } from './request-record.ts';
import { requestSpans } from './request-spans.ts';
import { servedModels } from './route.ts';
import type { Runtime } from './runtime.ts';

/** Writes down a finished request in metrics, spans, logs and router statistics. */
export function conclude(
  runtime: Runtime,
  context: RequestContext,
  endpoint: 'completions' | 'chat',
  status: number,
  failure: HttpError | undefined,
): void {
  const now = performance.now();
  const { metrics, telemetry } = runtime;
  const recorded = context.sampled && telemetry.wants('traces');
  const model = context.target?.model ?? runtime.config.model.id;
  const requested = context.request?.model ?? runtime.config.model.id;
  const served = servedModels(runtime).has(requested);
  const first = context.tokenTimes[0];
  const last = context.tokenTimes.at(-1);
  const gaps = context.tokenTimes.length - 1;
  const tenant = runtime.tenantLabels.of(context.identity?.tenant, context.decision?.allow === true);
  const used = tokensUsed(context);
  metrics.observe({
    labels: {
      operation: endpoint === 'chat' ? 'chat' : operationName(context.request),
      requestModel: served ? requested : '_OTHER',
      responseModel: model,
    },
    tenant,
    seconds: (now - context.receivedAt) / 1000,
    errorType: failure?.code,
    firstTokenSeconds: first === undefined ? undefined : (first - context.receivedAt) / 1000,
    perTokenSeconds: first === undefined || last === undefined || gaps < 1 ? undefined : (last - first) / 1000 / gaps,
    promptTokens: used.prompt,
    completionTokens: used.completion,
    span: recorded && telemetry.wants('metrics') ? { traceId: context.traceId, spanId: context.spanId } : undefined,
  });
  countGovernance(runtime, context, tenant, model, failure?.code);
  logDecision(runtime, context);
  metrics.instruments.overheadSeconds.observe(overheadMs(context, now) / 1000);
  if (failure !== undefined && context.engineStartedAt === undefined)
    metrics.instruments.rejections.inc({ mixgate_stage: failure.stage, mixgate_reason: failure.code });
  if (context.routing !== undefined && context.identity !== undefined) {
    metrics.routing(model, context.routing);
    const { segment, task } = context.attributes;
    const request = {
      id: context.decisionId,
      tenant: context.identity.tenant,
      model,
      version: context.target?.version ?? '',
      segment: segment ?? task,
    };
    runtime.moe.add(request, context.routing, Date.now());
  }
  if (recorded) {
    const error = failure === undefined ? undefined : { type: failure.code, message: failure.message };
    // A name of many would be no name: a model that nobody serves stands in the attribute only.
    const named = served ? context.request?.model : undefined;
    telemetry.spans(requestSpans(context, now, { status, error, model: named }), performance.timeOrigin + now);
  }
  if (telemetry.wants('logs')) telemetry.record(requestRecord(context, now, status, failure?.code));
}
