import { nearest } from '../../config/suggest.ts';
import type { Metric, Registry } from '../model.ts';
import type { SamplePath } from './encoding.ts';
import { doubleOf } from './encoding.ts';
import type { SampleIssue } from './issues.ts';
import { type Observed, observe, observeKeys } from './observed.ts';
import { attributeIssues, attributeMap, definitionOf, missingAttributes, type OtlpValue } from './values.ts';

type Fields = Record<string, unknown>;

export interface MetricScope {
  readonly registry: Registry;
  readonly observed: Observed;
  readonly cluster: string;
  readonly service: string;
  /** Names that were in base and are gone in head, with the new name if there is one. */
  readonly gone: ReadonlyMap<string, string | undefined>;
  readonly file: string;
  readonly lineOf: (path: SamplePath) => number;
  readonly add: (issue: SampleIssue, path: SamplePath) => void;
}

const KINDS = ['gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary'] as const;

/** Judges one OTLP metric with all its points against the registry. */
export function checkMetric(metric: Fields, path: SamplePath, scope: MetricScope): void {
  const name = metric['name'];
  if (typeof name !== 'string' || name === '') {
    scope.add({ rule: 'telemetry-otlp-encoding', subject: 'name', message: 'The samples have a metric without a name.' }, path);
    return;
  }
  const kind = KINDS.find((key) => typeof metric[key] === 'object' && metric[key] !== null);
  const data = (kind === undefined ? {} : metric[kind]) as Fields;
  const points = Array.isArray(data['dataPoints']) ? (data['dataPoints'] as readonly unknown[]) : [];
  const instrument = instrumentOf(kind, data);
  const observed = observe(scope.observed, name, scope.cluster, { file: scope.file, line: () => scope.lineOf(path) });
  const unit = typeof metric['unit'] === 'string' ? metric['unit'] : '';
  const temporality = typeof data['aggregationTemporality'] === 'number' ? data['aggregationTemporality'] : undefined;
  if (observed !== undefined) {
    observed.points += points.length;
    observed.services.set(scope.service, (observed.services.get(scope.service) ?? 0) + points.length);
    observed.units.add(unit);
    if (instrument !== undefined) observed.instruments.add(instrument);
    if (temporality !== undefined) observed.temporalities.add(temporality);
  }
  const definition = scope.registry.metrics.get(name);
  if (definition === undefined) unknownMetric(name, path, scope);
  else checkShape(definition, { unit, instrument, temporality, kind }, path, scope);
  for (const [index, item] of points.entries()) {
    if (typeof item !== 'object' || item === null) continue;
    const point = item as Fields;
    const attributes = attributeMap(point['attributes']);
    const at = [...path, kind!, 'dataPoints', index];
    if (observed !== undefined) {
      observeKeys(observed, new Map([...attributes].map(([key, value]) => [key, value.value])));
      if (Array.isArray(point['explicitBounds']) && observed.bounds.size < 16)
        observed.bounds.add((point['explicitBounds'] as readonly unknown[]).map((bound) => String(doubleOf(bound))).join(' '));
    }
    checkPoint(name, definition, attributes, at, scope);
  }
  if (definition?.bounds !== undefined && kind === 'histogram') checkBounds(definition, points, path, scope);
}

/** sum + monotonic = counter, sum = updowncounter; both histogram forms are one instrument. */
function instrumentOf(kind: (typeof KINDS)[number] | undefined, data: Fields): string | undefined {
  if (kind === 'sum') return data['isMonotonic'] === true ? 'counter' : 'updowncounter';
  return kind === 'exponentialHistogram' ? 'histogram' : kind;
}

function unknownMetric(name: string, path: SamplePath, scope: MetricScope): void {
  if (scope.gone.has(name)) {
    const now = scope.gone.get(name);
    scope.add(
      {
        rule: 'telemetry-sample-metric-unknown',
        subject: name,
        message: `The samples have the metric \`${name}\`, which this change ${now === undefined ? 'removes' : `renames to \`${now}\``}: clusters still emit the old name.`,
        fix: 'Keep the old name in the registry until no cluster emits it.',
      },
      path,
    );
    return;
  }
  const known = [...scope.registry.metrics.keys()];
  const namespace = `${name.split('.')[0]!}.`;
  // A runtime's own vocabulary (vllm:..., process.*) is no mistake; a name in one of our namespaces is.
  const ours = known.some((other) => other.startsWith(namespace));
  scope.add(
    {
      rule: 'telemetry-sample-metric-unknown',
      level: ours ? 'error' : 'note',
      subject: name,
      message: `The samples have the metric ${JSON.stringify(name.slice(0, 120))}, which no registry defines.`,
      fix: () => {
        const guess = nearest(name, known);
        return guess === undefined
          ? 'Define it in a registry, or stop sending it.'
          : `Did you mean \`${guess}\`? Else define it in a registry.`;
      },
    },
    path,
  );
}

interface Shape {
  readonly unit: string;
  readonly instrument: string | undefined;
  readonly temporality: number | undefined;
  readonly kind: string | undefined;
}

function checkShape(definition: Metric, shape: Shape, path: SamplePath, scope: MetricScope): void {
  const { name } = definition;
  if (definition.deprecated !== undefined) {
    scope.add(
      {
        rule: 'telemetry-sample-deprecated',
        subject: name,
        message: `The samples have the deprecated metric \`${name}\`.`,
        fix:
          definition.deprecated.renamedTo === undefined
            ? (definition.deprecated.note ?? 'Stop sending it.')
            : `Send \`${definition.deprecated.renamedTo}\` instead.`,
      },
      path,
    );
  }
  if (shape.unit !== definition.unit) {
    scope.add(
      {
        rule: 'telemetry-sample-unit-mismatch',
        subject: name,
        message: `The samples send \`${name}\` in \`${shape.unit === '' ? 'no unit' : shape.unit.slice(0, 63)}\`, the registry says \`${definition.unit}\`.`,
        fix: `Send it in \`${definition.unit}\`.`,
      },
      [...path, 'unit'],
    );
  }
  if (shape.instrument !== undefined && shape.instrument !== definition.instrument) {
    scope.add(
      {
        rule: 'telemetry-sample-instrument-mismatch',
        subject: name,
        message: `The samples send \`${name}\` as a ${shape.instrument}, the registry says ${definition.instrument}.`,
        fix: `Record it with a ${definition.instrument}.`,
      },
      path,
    );
  }
  if (shape.temporality !== undefined && shape.temporality !== 2) {
    scope.add(
      {
        rule: 'telemetry-sample-temporality',
        subject: name,
        message: `The samples send \`${name}\` with ${shape.temporality === 1 ? 'delta' : 'unspecified'} temporality; Prometheus needs cumulative (2).`,
        fix: 'Set the exporter to cumulative temporality (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative).',
      },
      [...path, shape.kind!, 'aggregationTemporality'],
    );
  }
}

function checkPoint(
  name: string,
  definition: Metric | undefined,
  attributes: ReadonlyMap<string, OtlpValue>,
  path: SamplePath,
  scope: MetricScope,
): void {
  if (attributes.get('otel.metric.overflow')?.value === true) {
    scope.add(
      {
        rule: 'telemetry-sample-overflow',
        subject: name,
        message: `The metric \`${name}\` ran into the SDK's cardinality limit: a point has otel.metric.overflow=true, so its per-label numbers are too low.`,
        fix: 'Drop an attribute with many values, or raise the limit of the view.',
      },
      path,
    );
    return;
  }
  if (definition !== undefined) {
    for (const attribute of missingAttributes(definition, attributes)) {
      scope.add(
        {
          rule: 'telemetry-sample-attribute-missing',
          subject: name,
          message: `The samples of \`${name}\` lack the required attribute \`${attribute.name}\`.`,
          fix: `Set \`${attribute.name}\` on every measurement.`,
        },
        path,
      );
    }
  }
  for (const [key, value] of attributes) {
    const attribute = definitionOf(scope.registry, key);
    if (
      definition !== undefined &&
      !definition.attributes.has(key) &&
      !(attribute !== undefined && definition.attributes.has(attribute.name))
    ) {
      scope.add(
        {
          rule: 'telemetry-sample-attribute-unknown',
          subject: name,
          message: `The samples of \`${name}\` have the attribute ${JSON.stringify(key.slice(0, 120))}, which the registry does not give it.`,
          fix: () => {
            const guess = nearest(key, definition.attributes.keys());
            return guess === undefined
              ? 'Add it to the metric in the registry, or drop it with a view.'
              : `Did you mean \`${guess}\`?`;
          },
        },
        [...path, 'attributes'],
      );
    }
    if (attribute !== undefined)
      for (const issue of attributeIssues(key, value, attribute)) scope.add(issue, [...path, 'attributes']);
  }
}

function checkBounds(definition: Metric, points: readonly unknown[], path: SamplePath, scope: MetricScope): void {
  for (const [index, item] of points.entries()) {
    const bounds = (item as Fields | null)?.['explicitBounds'];
    if (!Array.isArray(bounds) || bounds.length === 0) continue;
    const numbers = (bounds as readonly unknown[]).map(doubleOf);
    if (numbers.length === definition.bounds!.length && numbers.every((bound, place) => bound === definition.bounds![place]))
      continue;
    scope.add(
      {
        rule: 'telemetry-sample-bounds',
        subject: definition.name,
        message: `The samples of \`${definition.name}\` have other histogram bounds (${numbers.slice(0, 6).join(' ')}${numbers.length > 6 ? ' ...' : ''}) than agreed.`,
        fix: `Use a view with the bounds ${definition.bounds!.join(', ')}.`,
      },
      [...path, 'histogram', 'dataPoints', index, 'explicitBounds'],
    );
  }
}
