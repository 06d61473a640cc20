import type { Finding } from '../core/finding.ts';
import { compareText, plural } from '../core/text.ts';
import type { Metric, Registry } from './model.ts';
import { telemetryFinding } from './rules.ts';

/** The SDK's default limit of attribute sets per metric (OpenTelemetry specification, "Cardinality limits"). */
export const DEFAULT_SERIES_LIMIT = 2000;

/** Attributes whose values never stop growing: never a metric label. */
const BANNED_LABELS: ReadonlySet<string> = new Set([
  'gen_ai.response.id',
  'gen_ai.conversation.id',
  'gen_ai.tool.call.id',
  'gen_ai.agent.id',
  'gen_ai.prompt',
  'gen_ai.completion',
  'gen_ai.input.messages',
  'gen_ai.output.messages',
  'user.id',
  'user.email',
  'user.name',
  'enduser.id',
  'session.id',
  'session.previous_id',
  'client.address',
  'client.port',
  'network.peer.address',
  'network.peer.port',
  'url.full',
  'url.path',
  'url.query',
  'http.request.header',
  'exception.message',
  'exception.stacktrace',
  'error.message',
  'thread.id',
  'process.pid',
  'mixgate.decision.id',
  'mixgate.request.id',
]);

export interface CardinalityOptions {
  /** Label sets a metric may have; default 2000. */
  readonly limit?: number;
  /** Declared number of values per attribute. */
  readonly caps?: { readonly [attribute: string]: number };
}

export interface CardinalityEstimate {
  readonly metric: string;
  /** Product of the numbers of values of the attributes that are known; unknown attributes count as one. */
  readonly labelSets: number;
  /** Prometheus series: a histogram costs its finite bounds + `+Inf`, `_sum` and `_count` per label set. */
  readonly series: number;
  readonly factors: readonly { readonly attribute: string; readonly values: number; readonly from: 'enum' | 'cap' | 'boolean' }[];
  /** Attributes that have neither an enum nor a cap. */
  readonly unknown: readonly string[];
}

/** Bounds of an SDK's histogram when none are set (OpenTelemetry specification, explicit bucket histogram aggregation). */
const DEFAULT_BOUND_COUNT = 15;

/** Upper estimate of the series of one metric: enum sizes × declared caps; opt-in attributes are off and don't count. */
export function estimateCardinality(metric: Metric, options: CardinalityOptions = {}): CardinalityEstimate {
  const factors: { attribute: string; values: number; from: 'enum' | 'cap' | 'boolean' }[] = [];
  const unknown: string[] = [];
  for (const attribute of metric.attributes.values()) {
    if (attribute.requirement === 'opt_in') continue;
    const cap =
      options.caps !== undefined && Object.hasOwn(options.caps, attribute.name) ? options.caps[attribute.name] : undefined;
    const type = attribute.definition?.type;
    if (cap !== undefined) factors.push({ attribute: attribute.name, values: cap, from: 'cap' });
    else if (type?.kind === 'enum')
      factors.push({
        attribute: attribute.name,
        values: new Set([...type.members.values()].map((member) => member.value)).size,
        from: 'enum',
      });
    else if (type?.kind === 'scalar' && type.name === 'boolean')
      factors.push({ attribute: attribute.name, values: 2, from: 'boolean' });
    else unknown.push(attribute.name);
  }
  const labelSets = factors.reduce((product, factor) => product * factor.values, 1);
  const perSet = metric.instrument === 'histogram' ? (metric.bounds?.length ?? DEFAULT_BOUND_COUNT) + 3 : 1;
  return { metric: metric.name, labelSets, series: labelSets * perSet, factors, unknown };
}

/** Estimates of every live metric, and findings where the limit is passed, a label is banned or a number is missing. */
export function checkCardinality(
  registry: Registry,
  options: CardinalityOptions = {},
): { estimates: readonly CardinalityEstimate[]; findings: readonly Finding[] } {
  const limit = options.limit ?? DEFAULT_SERIES_LIMIT;
  const findings: Finding[] = [];
  const estimates: CardinalityEstimate[] = [];
  for (const metric of registry.metrics.values()) {
    if (metric.deprecated !== undefined) continue;
    const estimate = estimateCardinality(metric, options);
    estimates.push(estimate);
    // Upstream's metrics are estimated too, but only what is declared here can be changed here.
    for (const attribute of metric.attributes.values()) {
      if (!metric.owned || attribute.requirement === 'opt_in' || !isBanned(attribute.name)) continue;
      findings.push(
        telemetryFinding('telemetry-label-high-cardinality', {
          message: `The metric \`${metric.name}\` carries \`${attribute.name}\`, whose values never stop growing.`,
          location: attribute.where(),
          subject: metric.name,
          fix: `Move \`${attribute.name}\` to a span, or make it \`requirement_level: opt_in\`.`,
        }),
      );
    }
    if (estimate.labelSets > limit) {
      findings.push(
        telemetryFinding('telemetry-cardinality-exceeded', {
          level: metric.owned ? 'error' : 'warning',
          message: `The metric \`${metric.name}\` may have ${estimate.labelSets} label sets, more than the limit of ${limit}.`,
          location: metric.where('metric_name'),
          subject: metric.name,
          evidence: { labelSets: estimate.labelSets, series: estimate.series, limit, product: productText(estimate) },
          fix: 'Drop an attribute, make it opt_in, or lower its declared cap (telemetry.cardinality.caps). Above the limit the SDK folds the rest into one overflow point.',
        }),
      );
    }
  }
  const unknown = [
    ...new Set(
      estimates.filter((estimate) => registry.metrics.get(estimate.metric)!.owned).flatMap((estimate) => estimate.unknown),
    ),
  ].sort(compareText);
  for (const name of unknown) {
    if (isBanned(name)) continue;
    const users = estimates.filter((estimate) => estimate.unknown.includes(name)).map((estimate) => estimate.metric);
    const first = registry.metrics.get(users[0]!)!;
    findings.push(
      telemetryFinding('telemetry-cardinality-unknown', {
        message: `The attribute \`${name}\` of ${plural(users.length, 'metric')} has no declared number of values, so ${users.length === 1 ? 'its' : 'their'} series are a lower bound.`,
        location: first.attributes.get(name)!.where(),
        subject: name,
        evidence: { metrics: users },
        fix: `Declare it: telemetry.cardinality.caps: {${name}: N}.`,
      }),
    );
  }
  return { estimates, findings };
}

/** `9 (gen_ai.operation.name) x 2 (gen_ai.token.type)` */
export function productText(estimate: CardinalityEstimate): string {
  const parts = estimate.factors.map((factor) => `${factor.values} (${factor.attribute})`);
  return parts.length === 0 ? '1' : parts.join(' x ');
}

function isBanned(name: string): boolean {
  return BANNED_LABELS.has(name);
}
