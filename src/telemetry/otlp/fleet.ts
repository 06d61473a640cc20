import type { Finding } from '../../core/finding.ts';
import type { Json } from '../../core/json.ts';
import { groupBy } from '../../core/multimap.ts';
import { compareText } from '../../core/text.ts';
import { DEFAULT_SERIES_LIMIT } from '../cardinality.ts';
import type { Registry } from '../model.ts';
import { type TelemetryRule, telemetryFinding } from '../rules.ts';
import { MAX_LABEL_SETS, type Observed, type ObservedMetric } from './observed.ts';

export interface CoverageRule {
  readonly cluster: string;
  readonly service: string;
  readonly metrics: readonly string[];
  readonly minSamples?: number;
}

export interface FleetOptions {
  readonly registry: Registry;
  readonly limit?: number;
  readonly coverage: readonly CoverageRule[];
  readonly minSamples: number;
  /** File and line for findings that have no sample to point at. */
  readonly configFile: string;
}

export interface FleetResult {
  readonly findings: readonly Finding[];
  /** Set when something declared could not be judged: what is missing and how much more is needed. */
  readonly inconclusive?: string;
  /** Cluster, service, metric, points, state. */
  readonly coverage: readonly (readonly [string, string, string, number, 'covered' | 'too few' | 'missing'])[];
}

/** What all samples together say: expected producers, label sets, and whether the clusters agree. */
export function checkFleet(observed: Observed, options: FleetOptions): FleetResult {
  const findings: Finding[] = [];
  const coverage: FleetResult['coverage'][number][] = [];
  const lacking: string[] = [];
  for (const rule of options.coverage) {
    const least = rule.minSamples ?? options.minSamples;
    for (const name of rule.metrics) {
      const seen = observed.metrics.get(JSON.stringify([name, rule.cluster]));
      const points = seen?.services.get(rule.service) ?? 0;
      const state = points === 0 ? 'missing' : points < least ? 'too few' : 'covered';
      coverage.push([rule.cluster, rule.service, name, points, state]);
      if (state === 'missing') {
        findings.push(
          telemetryFinding('telemetry-coverage-missing', {
            message: `No sample of \`${name}\` from ${rule.service} in ${rule.cluster}.`,
            location: { file: options.configFile },
            subject: rule.cluster,
            evidence: { cluster: rule.cluster, service: rule.service, metric: name, needed: least },
            fix: 'Check that the sidecar or SDK runs and exports; zero samples are never a pass.',
          }),
        );
      } else if (state === 'too few') {
        lacking.push(`${least - points} more points of ${name} from ${rule.service} in ${rule.cluster}`);
      }
    }
  }
  if (options.coverage.length === 0) {
    const points = [...observed.metrics.values()].reduce((sum, metric) => sum + metric.points, 0);
    const total = points + observed.spans.count + observed.logs.count;
    if (total < options.minSamples) lacking.push(`${options.minSamples - total} more data points, spans or log records`);
  }
  if (lacking.length > 0) {
    findings.push(
      telemetryFinding('telemetry-samples-insufficient', {
        message: `The samples are too few to judge: ${lacking.slice(0, 5).join('; ')} needed.`,
        location: { file: options.configFile },
        subject: 'samples',
        fix: 'Record for longer, or lower telemetry.minSamples.',
      }),
    );
  }
  findings.push(
    ...labelSetFindings(observed, options.limit ?? DEFAULT_SERIES_LIMIT),
    ...agreementFindings(observed, options.registry),
  );
  return {
    findings,
    coverage,
    ...(lacking.length === 0 ? {} : { inconclusive: `Too few samples: ${lacking.slice(0, 5).join('; ')} needed.` }),
  };
}

function labelSetFindings(observed: Observed, limit: number): Finding[] {
  return [...observed.metrics.values()]
    .filter((metric) => metric.labelSets.size > limit)
    .map((metric) =>
      telemetryFinding('telemetry-sample-cardinality', {
        message: `The samples of \`${metric.name}\` in ${metric.cluster} have ${metric.labelSets.size >= MAX_LABEL_SETS ? 'at least ' : ''}${metric.labelSets.size} label sets, more than the limit of ${limit}.`,
        location: { file: metric.file, line: metric.line },
        subject: metric.name,
        fix: 'Drop the attribute with the most values, or cap it with a view.',
      }),
    );
}

/** One metric, all clusters: the same required keys, unit, bounds, temporality; one schema version. */
function agreementFindings(observed: Observed, registry: Registry): Finding[] {
  const byName = groupBy(observed.metrics.values(), (metric) => metric.name);
  const findings: Finding[] = [];
  for (const name of [...byName.keys()].sort(compareText)) {
    const metrics = byName.get(name)!.sort((a, b) => compareText(a.cluster, b.cluster));
    if (metrics.length < 2) continue;
    const compare = (rule: TelemetryRule, what: string, of: (metric: ObservedMetric) => string, fix: string): void => {
      const values = new Map(metrics.map((metric) => [metric.cluster, of(metric)]));
      if (new Set(values.values()).size < 2) return;
      const odd = oddOneOut(values);
      const at = metrics.find((metric) => metric.cluster === odd)!;
      const rest = metrics.filter((metric) => values.get(metric.cluster) !== values.get(odd)).map((metric) => metric.cluster);
      findings.push(
        telemetryFinding(rule, {
          message: `The cluster ${odd} sends \`${name}\` with ${what} ${values.get(odd) === '' ? 'none' : values.get(odd)!}, ${rest.join(', ')} with ${values.get(rest[0]!) === '' ? 'none' : values.get(rest[0]!)!}.`,
          location: { file: at.file, line: at.line },
          subject: odd,
          evidence: Object.fromEntries(values) as Json,
          fix,
        }),
      );
    };
    compare(
      'telemetry-fleet-unit-differs',
      'the unit',
      (metric) => [...metric.units].sort().join(', '),
      'Send one unit everywhere: sums over clusters are wrong.',
    );
    compare(
      'telemetry-fleet-bounds-differ',
      'the bounds',
      (metric) => [...metric.bounds].sort().join(' / '),
      'Use one view everywhere: quantiles over clusters are wrong.',
    );
    compare(
      'telemetry-fleet-temporality-differs',
      'the temporality',
      (metric) => [...metric.temporalities].sort().join(', '),
      'Use cumulative temporality everywhere.',
    );
    // Keys that are on some points only (error.type) may well be absent in one cluster's short sample.
    const definition = registry.metrics.get(name);
    compare(
      'telemetry-fleet-keys-differ',
      'the attributes',
      (metric) =>
        [...(metric.everyKey ?? [])]
          .filter((key) => ['required', 'recommended', undefined].includes(definition?.attributes.get(key)?.requirement))
          .sort(compareText)
          .join(', '),
      'Send the same attributes everywhere: a fleet-wide `sum by` loses the clusters that lack one.',
    );
  }
  const urls = new Map([...observed.schemaUrls].map(([cluster, set]) => [cluster, [...set].sort(compareText).join(', ')]));
  if (new Set(urls.values()).size > 1) {
    const odd = oddOneOut(urls);
    const other = [...urls].find(([, text]) => text !== urls.get(odd))!;
    findings.push(
      telemetryFinding('telemetry-fleet-schema-url-differs', {
        message: `The cluster ${odd} emits the schema ${urls.get(odd)!}, ${other[0]} emits ${other[1]}.`,
        subject: odd,
        evidence: Object.fromEntries([...urls].sort(([a], [b]) => compareText(a, b))) as Json,
        fix: 'Finish the rollout; until then queries must work with both versions.',
      }),
    );
  }
  return findings;
}

/** The cluster whose value is rarest; the last by name when all are equally rare. */
function oddOneOut(values: ReadonlyMap<string, string>): string {
  const counts = new Map<string, number>();
  for (const value of values.values()) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...values.keys()].sort((a, b) => counts.get(values.get(a)!)! - counts.get(values.get(b)!)! || compareText(b, a))[0]!;
}
