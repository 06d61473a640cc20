import type { SourceDocument } from '../../config/document.ts';
import { listSome, nearest } from '../../config/suggest.ts';
import type { Finding } from '../../core/finding.ts';
import { telemetryFinding } from '../rules.ts';
import { readAttribute, readDeprecated, readStability } from './attribute.ts';
import { type FieldReader, fieldReader } from './fields.ts';
import { readMetricFields } from './metric-fields.ts';
import { parseDefinition2 } from './parse-v2.ts';
import type { RawAttribute, RawGroup, RawGroupType } from './raw.ts';

const GROUP_KEYS = [
  'id',
  'type',
  'brief',
  'note',
  'prefix',
  'extends',
  'stability',
  'deprecated',
  'attributes',
  'constraints',
  'span_kind',
  'events',
  'metric_name',
  'instrument',
  'unit',
  'name',
  'display_name',
  'body',
  'annotations',
  'entity_associations',
  'visibility',
  'include_groups',
];
const GROUP_TYPES = ['attribute_group', 'metric', 'span', 'event', 'entity', 'resource', 'scope', 'metric_group'] as const;

/** The groups of one registry file in the `groups:` form, or in the form `file_format: definition/2`. Never throws: problems are findings. */
export function parseRegistryFile(doc: SourceDocument, owned: boolean, findings: Finding[]): RawGroup[] {
  const reader = fieldReader(doc, [], findings);
  if (reader === undefined) return [];
  const format = reader.map['file_format'];
  if (format === 'definition/2') return parseDefinition2(reader, owned, findings);
  if (format !== undefined && format !== 'definition/1') {
    findings.push(
      telemetryFinding('telemetry-registry-unreadable', {
        message: `The file format is ${JSON.stringify(format)}. Expected definition/2, or a file with \`groups\`.`,
        location: reader.where('file_format'),
        fix: 'Use a format that mixgate reads, or update mixgate.',
      }),
    );
    return [];
  }
  reader.onlyKnown(['file_format', 'groups', 'imports', 'version'], 'the file');
  if (!reader.has('groups')) {
    if (!reader.has('imports'))
      reader.wrong(undefined, 'The file lacks `groups`.', 'a list of groups', 'a registry file starts with `groups:`.');
    return [];
  }
  const groups: RawGroup[] = [];
  for (const index of reader.list('groups').keys()) {
    const group = reader.item('groups', index);
    if (group === undefined) continue;
    const parsed = readGroup(group, owned);
    if (parsed !== undefined) groups.push(parsed);
  }
  return groups;
}

function readGroup(reader: FieldReader, owned: boolean): RawGroup | undefined {
  reader.onlyKnown(GROUP_KEYS, 'the group');
  const id = reader.requiredText('id', 'a unique id');
  // A group without a type is a span: the rule of the first versions of the format.
  const declared = reader.has('type') ? reader.text('type') : 'span';
  if (id === undefined || declared === undefined) return undefined;
  if (!(GROUP_TYPES as readonly string[]).includes(declared)) {
    const guess = nearest(declared, GROUP_TYPES);
    reader.wrong(
      'type',
      `The type of group \`${id}\` is ${JSON.stringify(declared)}.`,
      `one of ${listSome(GROUP_TYPES)}`,
      guess === undefined ? undefined : `did you mean \`${guess}\`?`,
    );
    return undefined;
  }
  const type = groupType(declared);
  const metricFields = type === 'metric' ? readMetricFields(reader, id) : {};
  const name = type === 'metric' ? reader.requiredText('metric_name', 'the name of the metric') : signalName(reader, type, id);
  if (name === undefined) return undefined;
  const prefix = reader.text('prefix') ?? '';
  const attributes: RawAttribute[] = [];
  for (const index of reader.list('attributes').keys()) {
    const item = reader.item('attributes', index);
    const attribute = item === undefined ? undefined : readAttribute(item, prefix);
    if (attribute !== undefined) attributes.push(attribute);
  }
  const parents: { id: string; where: RawGroup['where'] }[] = [];
  const parent = reader.text('extends');
  if (parent !== undefined) parents.push({ id: parent, where: () => reader.where('extends') });
  for (const included of reader.list('include_groups')) {
    if (typeof included === 'string') parents.push({ id: included, where: () => reader.where('include_groups') });
  }
  const stability = readStability(reader);
  const deprecated = readDeprecated(reader);
  const spanKind = type === 'span' ? reader.text('span_kind') : undefined;
  return {
    id,
    type,
    name,
    brief: reader.text('brief') ?? '',
    extends: parents,
    attributes,
    ...metricFields,
    ...(stability === undefined ? {} : { stability }),
    ...(deprecated === undefined ? {} : { deprecated }),
    ...(spanKind === undefined ? {} : { spanKind }),
    owned,
    where: reader.where,
  };
}

function groupType(declared: string): RawGroupType {
  if (declared === 'resource') return 'entity';
  if (declared === 'scope' || declared === 'metric_group') return 'attribute_group';
  return declared as RawGroupType;
}

function signalName(reader: FieldReader, type: RawGroupType, id: string): string {
  if (type === 'attribute_group') return id;
  const name = type === 'span' ? undefined : reader.text('name');
  const start = `${type}.`;
  return name ?? (id.startsWith(start) ? id.slice(start.length) : id);
}
