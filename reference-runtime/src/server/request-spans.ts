// The spans of a finished request: one server span, a child per stage, attributes by OpenTelemetry's gen_ai conventions and our own.
import { gateEntropy, usageBalance } from '../engine/trace-math.ts';
import { newSpanId } from '../telemetry/ids.ts';
import type { Attributes, AttributeValue, Span, SpanEvent } from '../telemetry/otlp.ts';
import { SPAN_FLAGS } from '../telemetry/trace-context.ts';
import { operationName, type RequestContext } from './context.ts';

/** OpenTelemetry's default limit is 128 events a span (SDK specification, SpanLimits): room for the layers and the first token. */
const LAYER_EVENTS = 96;

/** An empty list says nothing. */
const listed = (values: string[] | undefined): string[] | undefined => (values?.length ? values : undefined);

const double = (value: number): AttributeValue => ({ double: value });

/** How a request ended: the HTTP status, the failure if it was one, and the model it asked for where that is one of those served. */
export interface Ending {
  status: number;
  error: { type: string; message: string } | undefined;
  model: string | undefined;
}

/** The spans of `context`, ended at `now` of the monotonic clock. */
export function requestSpans(context: RequestContext, now: number, { status, error, model }: Ending): Span[] {
  const at = (time: number): bigint => context.receivedUnixNano + BigInt(Math.round((time - context.receivedAt) * 1e6));
  const request = context.request;
  // One literal, in which what is unknown is undefined: keys put in one by one took as long as everything else here.
  const attributes: Attributes = {
    'gen_ai.operation.name': operationName(request),
    'gen_ai.provider.name': 'mistral_ai',
    'http.response.status_code': status,
    'mixgate.decision.id': context.decisionId,
    'mixgate.policy.revision': context.revision,
    'gen_ai.request.model': request?.model,
    'gen_ai.request.max_tokens': request?.maxTokens,
    'gen_ai.request.temperature': request === undefined ? undefined : double(request.temperature),
    'gen_ai.request.top_p': request === undefined ? undefined : double(request.topP),
    'gen_ai.request.seed': request?.seed,
    'gen_ai.response.model': context.target?.model,
    'gen_ai.response.finish_reasons': context.finishReason === undefined ? undefined : [context.finishReason],
    'gen_ai.usage.input_tokens': context.promptTokens > 0 ? context.promptTokens : undefined,
    'gen_ai.usage.output_tokens': context.engineStartedAt === undefined ? undefined : context.completionTokens,
    'mixgate.tenant': context.identity?.tenant,
    'mixgate.policy.rule': context.decision?.rule,
    'mixgate.target.pool': context.target?.pool,
    'mixgate.target.cluster': context.target?.cluster,
    'mixgate.target.version': context.target?.version,
    'mixgate.fallback.reason': context.fallback ?? undefined,
    'mixgate.request.requires': listed(request?.requires.map(({ capability }) => capability)),
    'mixgate.pools.passed_over': listed(context.passedOver.map(({ pool }) => pool)),
    'mixgate.split': context.arm === undefined ? undefined : context.decision?.split?.id,
    'mixgate.split.arm': context.arm?.id,
    'mixgate.shadow.pool': context.shadow === 'SENT' ? context.decision?.shadow?.target.pool : undefined,
    'mixgate.cost.amount': context.cost === undefined ? undefined : double(context.cost.amount),
    'mixgate.cost.currency': context.cost?.currency,
    'mixgate.price.state': context.cost?.price,
    'mixgate.cold_start.duration': context.coldStartMs === undefined ? undefined : double(context.coldStartMs / 1000),
    'error.type': error?.type,
  };
  const events: SpanEvent[] = [];
  const first = context.tokenTimes[0];
  if (first !== undefined) events.push({ name: 'gen_ai.first_token', unixNano: at(first) });
  const routing = context.routing;
  if (routing !== undefined && routing.layers.length > 0) {
    const balances = routing.layers.map((layer) => ({ layer, ...usageBalance(layer.usage) }));
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    attributes['mixgate.moe.tokens_traced'] = routing.tokensTraced;
    attributes['mixgate.moe.rows_dropped'] = routing.dropped;
    attributes['mixgate.moe.entropy.mean'] = double(mean(balances.map(({ share }) => gateEntropy(share))));
    attributes['mixgate.moe.gate_entropy.mean'] = double(mean(routing.layers.map((layer) => layer.gateEntropyNats)));
    attributes['mixgate.moe.top2_margin.mean'] = double(mean(routing.layers.map((layer) => layer.top2Margin)));
    attributes['mixgate.moe.skew.max'] = double(Math.max(...balances.map((balance) => balance.skew)));
    const end = at(context.engineEndedAt ?? now);
    for (const { layer, share, skew } of balances.slice(0, LAYER_EVENTS)) {
      events.push({
        name: 'mixgate.moe.layer',
        unixNano: end,
        attributes: {
          'mixgate.moe.layer': layer.layer,
          'mixgate.moe.expert': share.indexOf(Math.max(...share)),
          'mixgate.moe.rows': layer.rows,
          'mixgate.moe.entropy': double(gateEntropy(share)),
          'mixgate.moe.skew': double(skew),
          'mixgate.moe.gate_entropy': double(layer.gateEntropyNats),
          'mixgate.moe.top2_margin': double(layer.top2Margin),
        },
      });
    }
  }
  const flags = SPAN_FLAGS.sampled | SPAN_FLAGS.knowsRemote;
  const root: Span = {
    traceId: context.traceId,
    spanId: context.spanId,
    parentSpanId: context.parentSpanId,
    traceState: context.traceState,
    flags: context.parentSpanId === undefined ? flags : flags | SPAN_FLAGS.remote,
    name: model === undefined ? operationName(context.request) : `${operationName(context.request)} ${model}`,
    kind: 2,
    start: at(context.receivedAt),
    end: at(now),
    attributes,
    events,
    error: error?.message,
  };
  const children = context.stages.map(
    (stage): Span => ({
      traceId: context.traceId,
      spanId: stage.spanId ?? newSpanId(),
      parentSpanId: context.spanId,
      traceState: context.traceState,
      flags,
      name: `mixgate.stage.${stage.name}`,
      kind: 1,
      start: at(stage.start),
      end: at(stage.end),
      attributes: {},
    }),
  );
  return [root, ...children];
}
