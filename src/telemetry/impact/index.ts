import { formatLocation } from '../../core/errors.ts';
import type { Finding } from '../../core/finding.ts';
import { append } from '../../core/multimap.ts';
import { compareText } from '../../core/text.ts';
import type { RegoUse } from '../../rego/uses.ts';
import type { Change, UseOfTelemetry } from '../diff/change.ts';
import type { Metric, Registry } from '../model.ts';
import { familyOf, prometheusLabel, prometheusNames } from '../prometheus-names.ts';
import { telemetryFinding } from '../rules.ts';
import type { QueryConsumer } from './consumers.ts';
import type { Selector } from './promql.ts';

/** Everything in the repository that uses telemetry by name. */
export interface Consumers {
  readonly queries: readonly QueryConsumer[];
  readonly rego: readonly RegoUse[];
}

/** Labels that Prometheus or the pipeline adds; no attribute of the metric. */
const PIPELINE_LABELS = new Set([
  'le',
  'quantile',
  'job',
  'instance',
  '__name__',
  'cluster',
  'k8s_cluster_name',
  'service_name',
  'service_namespace',
  'service_instance_id',
  'service_version',
  'otel_scope_name',
  'otel_scope_version',
  'pod',
  'namespace',
  'node',
  'container',
  'region',
]);

/** Who uses what a change touches, in stable order, one entry a place. */
export function usesOf(change: Change, consumers: Consumers): UseOfTelemetry[] {
  const uses: UseOfTelemetry[] = [];
  for (const metric of change.touches.metrics) {
    const series = seriesNames(metric);
    for (const query of consumers.queries) {
      for (const selector of query.selectors) {
        if (selector.metric === undefined || !series.has(selector.metric) || !selectorUses(selector, change)) continue;
        for (const name of query.names) uses.push({ kind: query.kind, name, location: query.location, uses: selector.metric });
      }
    }
  }
  const literals = new Set([
    ...change.touches.metrics.flatMap((metric) =>
      change.touches.attribute === undefined ? [metric.name, ...seriesNames(metric)] : [],
    ),
    ...(change.touches.attribute === undefined ? [] : [change.touches.attribute]),
  ]);
  for (const use of consumers.rego) {
    const path = change.touches.eventPath;
    const hit = use.kind === 'string' ? literals.has(use.text) : path !== undefined && inputUses(use.text, path);
    if (hit)
      uses.push({
        kind: 'policy',
        name: use.location.file,
        location: use.location,
        uses: use.kind === 'input' ? `input.${use.text}` : use.text,
      });
  }
  const seen = new Set<string>();
  return uses
    .sort(
      (a, b) =>
        compareText(a.kind, b.kind) ||
        compareText(a.name, b.name) ||
        compareText(a.location.file, b.location.file) ||
        (a.location.line ?? 0) - (b.location.line ?? 0),
    )
    .filter((use) => {
      const key = `${use.kind} ${use.name} ${formatLocation(use.location)}`;
      const fresh = !seen.has(key);
      seen.add(key);
      return fresh;
    });
}

const cache = new WeakMap<Metric, ReadonlySet<string>>();

function seriesNames(metric: Metric): ReadonlySet<string> {
  let names = cache.get(metric);
  if (names === undefined) {
    names = new Set(prometheusNames(metric).flatMap((name) => name.series));
    cache.set(metric, names);
  }
  return names;
}

function selectorUses(selector: Selector, change: Change): boolean {
  const { attribute, bounds } = change.touches;
  if (attribute !== undefined) {
    const labels = [attribute, prometheusLabel(attribute)];
    return (
      selector.matchers.some((matcher) => labels.includes(matcher.label)) ||
      selector.grouping.some((label) => labels.includes(label))
    );
  }
  if (bounds !== undefined) {
    return selector.matchers.some(
      (matcher) => matcher.label === 'le' && matcher.value.split('|').some((value) => bounds.includes(Number(value))),
    );
  }
  return true;
}

/** `input.event.target.pool` uses the event field `target.pool`: the payload may sit below one key of the input. */
function inputUses(used: string, path: string): boolean {
  if (used === path || used.startsWith(`${path}.`)) return true;
  const inner = used.slice(used.indexOf('.') + 1);
  return used.includes('.') && path.includes('.') && (inner === path || inner.startsWith(`${path}.`));
}

/** "This breaks SLO ttft-p95 (slo/ttft.yaml:14) and alert X (...)." or that nobody here uses it. */
export function impactText(uses: readonly UseOfTelemetry[]): string {
  if (uses.length === 0) return 'No consumer in this repository uses it.';
  const shown = uses
    .slice(0, 6)
    .map(
      (use) =>
        `${kindText(use.kind)} ${use.name} (${formatLocation({ file: use.location.file, ...(use.location.line === undefined ? {} : { line: use.location.line }) })})`,
    );
  const more = uses.length > shown.length ? ` and ${uses.length - shown.length} more` : '';
  return `This breaks ${shown.join(', ')}${more}.`;
}

function kindText(kind: UseOfTelemetry['kind']): string {
  return { slo: 'SLO', alert: 'alert', recording: 'recording rule', dashboard: 'dashboard', policy: 'policy', query: 'query' }[
    kind
  ];
}

/** Queries on metrics or labels that no registry knows: they return nothing, silently. `handled`: names that a change explains. */
export function checkConsumers(registry: Registry, consumers: Consumers, handled: ReadonlySet<string>): Finding[] {
  const bySeries = new Map<string, Metric[]>();
  for (const metric of registry.metrics.values()) {
    for (const name of seriesNames(metric)) append(bySeries, name, metric);
  }
  const namespaces = new Set([...registry.metrics.keys()].map((name) => `${name.split('.')[0]!}`));
  const findings: Finding[] = [];
  for (const query of consumers.queries) {
    for (const selector of query.selectors) {
      const name = selector.metric;
      if (name === undefined || handled.has(name)) continue;
      const metrics = bySeries.get(name);
      if (metrics === undefined) {
        // Foreign names (vllm:..., kube_...) have registries of their own; only our namespaces are known to be complete.
        if (![...namespaces].some((space) => name.startsWith(`${space}_`) || name.startsWith(`${space}.`)) || name.includes(':'))
          continue;
        findings.push(
          telemetryFinding('telemetry-consumer-metric-unknown', {
            message: `The ${kindText(query.kind)} ${query.names.join(', ')} queries \`${name}\`, which no metric of the registry is called in Prometheus.`,
            location: query.location,
            subject: familyOf(name),
            fix: 'Correct the name, or add the metric to the registry.',
          }),
        );
        continue;
      }
      const allowed = new Set(
        metrics.flatMap((metric) =>
          [...metric.attributes.keys()].flatMap((attribute) => [attribute, prometheusLabel(attribute)]),
        ),
      );
      for (const label of new Set([...selector.matchers.map((matcher) => matcher.label), ...selector.grouping])) {
        if (allowed.has(label) || PIPELINE_LABELS.has(label) || handled.has(label)) continue;
        findings.push(
          telemetryFinding('telemetry-consumer-label-unknown', {
            message: `The ${kindText(query.kind)} ${query.names.join(', ')} uses the label \`${label}\` of \`${name}\`, which the metric does not have.`,
            location: query.location,
            subject: label,
            fix: 'Correct the label, or add the attribute to the metric.',
          }),
        );
      }
    }
  }
  return findings;
}
