import type { Finding } from '../core/finding.ts';
import type { AttributeDefinition, Registry, Signal } from './model.ts';
import { signalsOf } from './model.ts';
import { telemetryFinding } from './rules.ts';
import { baseUnit, unitProblem } from './ucum.ts';

/** snake_case words joined by dots, at least a namespace and a name. */
const NAME = /^[a-z][a-z0-9]*(?:_[a-z0-9]+)*(?:\.[a-z][a-z0-9]*(?:_[a-z0-9]+)*)+$/;
const MAX_NAME = 128;

/** What is wrong with the registries that this repository owns; a pinned upstream copy is not ours to lint. */
export function lintRegistry(registry: Registry): Finding[] {
  const findings: Finding[] = [];
  for (const attribute of registry.attributes.values()) {
    if (!attribute.owned) continue;
    lintItem(attribute, 'attribute', 'id', findings);
    lintEnum(attribute, findings);
    lintRename(attribute, 'attribute', registry.attributes, findings);
  }
  for (const signal of signalsOf(registry)) {
    if (!signal.owned) continue;
    lintItem(signal, signal.kind, signal.kind === 'metric' ? 'metric_name' : 'name', findings);
    lintRename(signal, signal.kind, signalMap(registry, signal), findings);
    if (signal.kind === 'metric') lintUnit(signal.name, signal.unit, signal.where, findings);
  }
  return findings;
}

function signalMap(registry: Registry, signal: Signal): ReadonlyMap<string, unknown> {
  return { metric: registry.metrics, span: registry.spans, event: registry.events, entity: registry.entities }[signal.kind];
}

function lintItem(item: AttributeDefinition | Signal, kind: string, nameField: string, findings: Finding[]): void {
  const { name } = item;
  // Span groups are named by id and entity types may be one word: both are names inside the registry only.
  const free = kind === 'span' || kind === 'entity';
  if (!(free ? /^[a-z][a-z0-9_.]*$/ : NAME).test(name) || name.length > MAX_NAME) {
    findings.push(
      telemetryFinding('telemetry-name-invalid', {
        message: `The ${kind} name ${JSON.stringify(name)} is not snake_case words joined by dots, with a namespace in front.`,
        location: item.where(nameField),
        subject: name,
        fix: `For instance \`${suggestName(name)}\`.`,
      }),
    );
  }
  if (item.brief.trim() === '') {
    findings.push(
      telemetryFinding('telemetry-brief-missing', {
        message: `The ${kind} \`${name}\` has no brief.`,
        location: item.where('brief'),
        subject: name,
        fix: 'Say in one sentence what it measures or means.',
      }),
    );
  }
  if (item.stability === undefined && item.deprecated === undefined) {
    findings.push(
      telemetryFinding('telemetry-stability-missing', {
        message: `The ${kind} \`${name}\` declares no stability.`,
        location: item.where('stability'),
        subject: name,
        fix: 'Add `stability: development` (or alpha, beta, release_candidate, stable).',
      }),
    );
  }
}

function suggestName(name: string): string {
  const words = name
    .slice(0, 255)
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z0-9_.]+/g, '_')
    .replace(/_+/g, '_')
    .replace(/^[^a-z]+|[._]+$/g, '');
  return words.includes('.') ? words : `mixgate.${words === '' ? 'name' : words}`;
}

function lintEnum(attribute: AttributeDefinition, findings: Finding[]): void {
  if (attribute.type.kind !== 'enum') return;
  const byValue = new Map<string, string>();
  for (const member of attribute.type.members.values()) {
    if (member.deprecated !== undefined) continue;
    const key = JSON.stringify(member.value);
    const other = byValue.get(key);
    if (other === undefined) byValue.set(key, member.id);
    else {
      findings.push(
        telemetryFinding('telemetry-enum-member-duplicate', {
          level: 'warning',
          message: `The enum \`${attribute.name}\` has the value ${key} for both \`${other}\` and \`${member.id}\`.`,
          location: member.where('value'),
          subject: attribute.name,
          fix: 'Keep one member a value, or deprecate the other.',
        }),
      );
    }
  }
  const types = new Set([...attribute.type.members.values()].map((member) => typeof member.value));
  if (types.size > 1) {
    findings.push(
      telemetryFinding('telemetry-registry-wrong-type', {
        message: `The enum \`${attribute.name}\` mixes ${[...types].sort().join(' and ')} values. Expected one type.`,
        location: attribute.where('type'),
        subject: attribute.name,
      }),
    );
  }
}

function lintRename(
  item: AttributeDefinition | Signal,
  kind: string,
  known: ReadonlyMap<string, unknown>,
  findings: Finding[],
): void {
  const target = item.deprecated?.renamedTo;
  if (target === undefined || known.has(target)) return;
  findings.push(
    telemetryFinding('telemetry-rename-target-missing', {
      message: `The ${kind} \`${item.name}\` says it was renamed to \`${target}\`, which no registry defines.`,
      location: item.where('deprecated'),
      subject: item.name,
      fix: 'Define the new name, or correct `renamed_to`.',
    }),
  );
}

function lintUnit(name: string, unit: string, where: Signal['where'], findings: Finding[]): void {
  const problem = unitProblem(unit);
  if (problem !== undefined) {
    findings.push(
      telemetryFinding('telemetry-unit-invalid', {
        message: `The unit ${JSON.stringify(unit)} of \`${name}\` is not UCUM: ${problem}.`,
        location: where('unit'),
        subject: name,
        fix: 'Write the unit in UCUM, e.g. `s`, `By`, `{request}`, `1`.',
      }),
    );
    return;
  }
  const base = baseUnit(unit);
  if (base !== undefined) {
    findings.push(
      telemetryFinding('telemetry-unit-invalid', {
        level: 'warning',
        message: `The metric \`${name}\` is in \`${unit}\`, where the semantic conventions use the unprefixed \`${base}\`.`,
        location: where('unit'),
        subject: name,
        fix: `Record it in \`${base}\`.`,
      }),
    );
  }
}
