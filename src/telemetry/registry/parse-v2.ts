import type { Finding } from '../../core/finding.ts';
import { readAttribute, readDeprecated, readStability } from './attribute.ts';
import type { FieldReader } from './fields.ts';
import { readMetricFields } from './metric-fields.ts';
import type { RawAttribute, RawGroup, RawGroupType } from './raw.ts';

const TOP_KEYS = [
  'file_format',
  'imports',
  'attributes',
  'attribute_groups',
  'metrics',
  'spans',
  'events',
  'entities',
  'metric_refinements',
  'span_refinements',
  'event_refinements',
];
const COMMON_KEYS = [
  'brief',
  'note',
  'stability',
  'deprecated',
  'annotations',
  'attributes',
  'requirement_level',
  'visibility',
  'display_name',
  'entity_associations',
];

interface Section {
  readonly key: string;
  readonly type: RawGroupType;
  /** The field that names the item. */
  readonly name: string;
  readonly extra: readonly string[];
}

const SECTIONS: readonly Section[] = [
  { key: 'attribute_groups', type: 'attribute_group', name: 'id', extra: [] },
  { key: 'metrics', type: 'metric', name: 'name', extra: ['instrument', 'unit'] },
  { key: 'spans', type: 'span', name: 'type', extra: ['kind', 'name'] },
  { key: 'events', type: 'event', name: 'name', extra: ['body'] },
  { key: 'entities', type: 'entity', name: 'type', extra: ['identity', 'description'] },
];

/**
 * The form of semantic-conventions-genai (`file_format: definition/2`): attributes by `key`, signals in lists of their own,
 * groups pulled in by `ref_group`. Refinements add nothing to the model and are only checked to be lists.
 */
export function parseDefinition2(reader: FieldReader, owned: boolean, _findings: Finding[]): RawGroup[] {
  reader.onlyKnown(TOP_KEYS, 'the file');
  for (const key of TOP_KEYS.slice(-3)) reader.list(key);
  const groups: RawGroup[] = [];
  const definitions = readAttributes(reader, 'attributes').attributes;
  if (definitions.length > 0) {
    groups.push({
      id: `definition/2 attributes of ${reader.where().file}`,
      type: 'attribute_group',
      name: '',
      brief: '',
      extends: [],
      attributes: definitions,
      owned,
      where: reader.where,
    });
  }
  for (const section of SECTIONS) {
    for (const index of reader.list(section.key).keys()) {
      const item = reader.item(section.key, index);
      const group = item === undefined ? undefined : readSignal(item, section, owned);
      if (group !== undefined) groups.push(group);
    }
  }
  return groups;
}

function readSignal(reader: FieldReader, section: Section, owned: boolean): RawGroup | undefined {
  reader.onlyKnown([section.name, ...COMMON_KEYS, ...section.extra], 'the item');
  const name = reader.requiredText(section.name, 'a unique name');
  if (name === undefined) return undefined;
  const own = readAttributes(reader, 'attributes');
  const lists =
    section.type === 'entity' ? [readAttributes(reader, 'identity', true), readAttributes(reader, 'description')] : [];
  const stability = readStability(reader);
  const deprecated = readDeprecated(reader);
  const spanKind = section.type === 'span' ? reader.text('kind') : undefined;
  return {
    id: section.type === 'attribute_group' ? name : `${section.type}.${name}`,
    type: section.type,
    name,
    brief: reader.text('brief') ?? '',
    extends: own.groups,
    attributes: [own, ...lists].flatMap((list) => list.attributes),
    ...(section.type === 'metric' ? readMetricFields(reader, name) : {}),
    ...(stability === undefined ? {} : { stability }),
    ...(deprecated === undefined ? {} : { deprecated }),
    ...(spanKind === undefined ? {} : { spanKind }),
    owned,
    where: (field) => reader.where(field === 'metric_name' ? section.name : field === 'span_kind' ? 'kind' : field),
  };
}

function readAttributes(
  reader: FieldReader,
  key: string,
  identifying = false,
): { attributes: RawAttribute[]; groups: RawGroup['extends'] } {
  const attributes: RawAttribute[] = [];
  const groups: { id: string; where: RawGroup['where'] }[] = [];
  for (const index of reader.list(key).keys()) {
    const item = reader.item(key, index);
    if (item === undefined) continue;
    const group = item.map['ref_group'];
    if (typeof group === 'string') {
      item.onlyKnown(['ref_group'], 'the reference');
      groups.push({ id: group, where: () => item.where('ref_group') });
      continue;
    }
    const attribute = readAttribute(item, '', { identifying });
    if (attribute !== undefined) attributes.push(attribute);
  }
  return { attributes, groups };
}
