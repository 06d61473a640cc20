import { type Finding, type FindingInput, finding, type Level } from '../core/finding.ts';
import type { RuleInfo } from '../core/rules.ts';

/** Every rule of the telemetry gate; each has a page docs/rules/<id>.md. */
export const RULES = [
  // Reading registries.
  { id: 'telemetry-registry-unreadable', level: 'error', summary: 'A registry file cannot be read.' },
  { id: 'telemetry-registry-unknown-key', level: 'error', summary: 'A registry file has a key that the format does not know.' },
  {
    id: 'telemetry-registry-wrong-type',
    level: 'error',
    summary: 'A field of a registry has a value of the wrong type, or lacks one.',
  },
  {
    id: 'telemetry-reference-unresolved',
    level: 'error',
    summary: 'A `ref`, `extends` or `ref_group` names something that no registry defines.',
  },
  { id: 'telemetry-extends-cycle', level: 'error', summary: 'Groups extend each other in a circle.' },
  { id: 'telemetry-definition-duplicate', level: 'error', summary: 'Two definitions have one name.' },
  // Lint of registries that this repository owns.
  { id: 'telemetry-name-invalid', level: 'error', summary: 'A name is not snake_case words joined by dots.' },
  { id: 'telemetry-unit-invalid', level: 'error', summary: 'A unit is not UCUM, or not a base unit.' },
  { id: 'telemetry-brief-missing', level: 'warning', summary: 'An item has no brief.' },
  { id: 'telemetry-stability-missing', level: 'warning', summary: 'An item declares no stability.' },
  { id: 'telemetry-enum-member-duplicate', level: 'error', summary: 'An enum has one member twice.' },
  { id: 'telemetry-rename-target-missing', level: 'error', summary: '`renamed_to` names something that does not exist.' },
  { id: 'telemetry-label-high-cardinality', level: 'error', summary: 'A metric carries an attribute with unbounded values.' },
  { id: 'telemetry-cardinality-exceeded', level: 'error', summary: 'A metric may have more series than the limit.' },
  { id: 'telemetry-cardinality-unknown', level: 'note', summary: 'A metric attribute has no declared number of values.' },
  // Base to head.
  { id: 'telemetry-metric-removed', level: 'error', summary: 'A metric is gone.' },
  { id: 'telemetry-metric-renamed', level: 'error', summary: 'A metric has a new name.' },
  { id: 'telemetry-metric-unit-changed', level: 'error', summary: 'A metric has another unit.' },
  { id: 'telemetry-metric-instrument-changed', level: 'error', summary: 'A metric has another instrument.' },
  { id: 'telemetry-metric-value-type-changed', level: 'warning', summary: 'The number type of a metric changed.' },
  { id: 'telemetry-metric-bounds-changed', level: 'error', summary: 'The agreed histogram bounds of a metric changed.' },
  { id: 'telemetry-metric-attribute-added', level: 'error', summary: 'A metric splits by one more attribute.' },
  { id: 'telemetry-metric-attribute-removed', level: 'error', summary: 'A metric lost an attribute.' },
  { id: 'telemetry-attribute-removed', level: 'error', summary: 'An attribute is gone.' },
  { id: 'telemetry-attribute-renamed', level: 'error', summary: 'An attribute has a new name.' },
  { id: 'telemetry-attribute-type-changed', level: 'error', summary: 'An attribute has another type.' },
  { id: 'telemetry-requirement-lowered', level: 'error', summary: 'An attribute is no longer required.' },
  { id: 'telemetry-requirement-raised', level: 'error', summary: 'An attribute became required.' },
  { id: 'telemetry-enum-member-removed', level: 'error', summary: 'An enum lost a member.' },
  { id: 'telemetry-enum-value-changed', level: 'error', summary: 'An enum member has another value.' },
  { id: 'telemetry-enum-member-added', level: 'warning', summary: 'An enum has a new member.' },
  { id: 'telemetry-stability-lowered', level: 'error', summary: 'An item is less stable than before.' },
  { id: 'telemetry-signal-removed', level: 'error', summary: 'A span, event or entity is gone.' },
  { id: 'telemetry-signal-renamed', level: 'error', summary: 'A span, event or entity has a new name.' },
  { id: 'telemetry-signal-attribute-removed', level: 'error', summary: 'A span, event or entity lost an attribute.' },
  { id: 'telemetry-span-kind-changed', level: 'error', summary: 'A span has another kind.' },
  { id: 'telemetry-entity-identity-changed', level: 'error', summary: 'What identifies an entity changed.' },
  { id: 'telemetry-cardinality-raised', level: 'warning', summary: 'A metric may have more series than before.' },
  // JSON Schemas of events.
  { id: 'telemetry-event-schema-invalid', level: 'error', summary: 'An event schema cannot be read, or is not JSON Schema.' },
  { id: 'telemetry-event-schema-removed', level: 'error', summary: 'The schema of an event is gone.' },
  { id: 'telemetry-event-field-removed', level: 'error', summary: 'A field of an event is gone.' },
  { id: 'telemetry-event-field-added', level: 'error', summary: 'A field was added where it breaks old or new payloads.' },
  { id: 'telemetry-event-field-type-changed', level: 'error', summary: 'A field of an event has another type.' },
  { id: 'telemetry-event-field-required', level: 'error', summary: 'A field of an event became required.' },
  { id: 'telemetry-event-field-optional', level: 'error', summary: 'A field of an event is no longer required.' },
  { id: 'telemetry-event-enum-changed', level: 'error', summary: 'The allowed values of an event field changed.' },
  { id: 'telemetry-event-constraint-changed', level: 'error', summary: 'A constraint of an event field is tighter or looser.' },
  { id: 'telemetry-event-content-model-changed', level: 'error', summary: 'An event object opened or closed to unknown fields.' },
  // OTLP/JSON samples.
  { id: 'telemetry-otlp-unreadable', level: 'error', summary: 'A sample file cannot be read as OTLP/JSON.' },
  { id: 'telemetry-otlp-encoding', level: 'error', summary: 'A sample breaks the OTLP/JSON encoding.' },
  { id: 'telemetry-sample-metric-unknown', level: 'error', summary: 'A sample has a metric that no registry defines.' },
  { id: 'telemetry-sample-unit-mismatch', level: 'error', summary: 'A sample has another unit than the registry.' },
  { id: 'telemetry-sample-instrument-mismatch', level: 'error', summary: 'A sample has another instrument than the registry.' },
  { id: 'telemetry-sample-attribute-missing', level: 'error', summary: 'A sample lacks a required attribute.' },
  {
    id: 'telemetry-sample-attribute-unknown',
    level: 'warning',
    summary: 'A sample has an attribute that the registry does not give it.',
  },
  { id: 'telemetry-sample-enum-undefined', level: 'error', summary: 'A sample has a value that the enum does not have.' },
  { id: 'telemetry-sample-type-mismatch', level: 'error', summary: 'A sample value has another type than the registry.' },
  { id: 'telemetry-sample-deprecated', level: 'warning', summary: 'A sample uses a deprecated name.' },
  { id: 'telemetry-sample-temporality', level: 'error', summary: 'A sample is not cumulative, which Prometheus needs.' },
  { id: 'telemetry-sample-bounds', level: 'warning', summary: 'A histogram has other bounds than agreed.' },
  { id: 'telemetry-sample-overflow', level: 'error', summary: 'The SDK ran into its cardinality limit.' },
  { id: 'telemetry-sample-cardinality', level: 'error', summary: 'A sampled metric has more label sets than the limit.' },
  { id: 'telemetry-sample-event-invalid', level: 'error', summary: 'A sampled event does not match its schema.' },
  { id: 'telemetry-samples-insufficient', level: 'warning', summary: 'There are too few samples to judge.' },
  { id: 'telemetry-coverage-missing', level: 'error', summary: 'A service does not emit a metric that it must.' },
  { id: 'telemetry-fleet-keys-differ', level: 'error', summary: 'Clusters give one metric different attributes.' },
  { id: 'telemetry-fleet-unit-differs', level: 'error', summary: 'Clusters give one metric different units.' },
  { id: 'telemetry-fleet-bounds-differ', level: 'error', summary: 'Clusters give one histogram different bounds.' },
  { id: 'telemetry-fleet-temporality-differs', level: 'error', summary: 'Clusters give one metric different temporality.' },
  { id: 'telemetry-fleet-schema-url-differs', level: 'warning', summary: 'Clusters emit different schema versions.' },
  // Consumers.
  { id: 'telemetry-consumer-unreadable', level: 'warning', summary: 'A file that uses telemetry cannot be read.' },
  { id: 'telemetry-consumer-query-invalid', level: 'warning', summary: 'A PromQL query does not parse.' },
  { id: 'telemetry-consumer-metric-unknown', level: 'warning', summary: 'A query uses a metric that no registry defines.' },
  { id: 'telemetry-consumer-label-unknown', level: 'warning', summary: 'A query uses a label that the metric does not have.' },
] as const satisfies readonly RuleInfo[];

export type TelemetryRule = (typeof RULES)[number]['id'];

const LEVELS: ReadonlyMap<string, Level> = new Map(RULES.map((rule) => [rule.id, rule.level]));

/** A finding of this gate; the level is the rule's unless given. */
export function telemetryFinding(
  ruleId: TelemetryRule,
  input: Omit<FindingInput, 'ruleId' | 'level'> & { readonly level?: Level },
): Finding {
  return finding({ ...input, ruleId, level: input.level ?? LEVELS.get(ruleId)! });
}
