import {
  type Deprecation,
  type EnumMember,
  REQUIREMENTS,
  type Requirement,
  SCALAR_TYPES,
  type ScalarType,
  STABILITIES,
  type Stability,
} from '../model.ts';
import type { FieldReader } from './fields.ts';
import type { RawAttribute } from './raw.ts';

const ATTRIBUTE_KEYS = [
  'id',
  'key',
  'ref',
  'type',
  'brief',
  'note',
  'examples',
  'requirement_level',
  'sampling_relevant',
  'stability',
  'deprecated',
  'tag',
  'annotations',
  'role',
  'prefix',
];
const MEMBER_KEYS = ['id', 'value', 'brief', 'note', 'stability', 'deprecated', 'annotations'];

/** One entry of `attributes`: a definition (`id`; `key` in definition/2) or a reference (`ref`). */
export function readAttribute(
  reader: FieldReader,
  prefix: string,
  options: { identifying?: boolean } = {},
): RawAttribute | undefined {
  reader.onlyKnown(ATTRIBUTE_KEYS, 'the attribute');
  const reference = reader.text('ref');
  const own = reader.text('id') ?? reader.text('key');
  if (reference === undefined && own === undefined) {
    reader.wrong(
      undefined,
      'The attribute has neither `id` nor `ref`.',
      '`id: NAME` for a definition, `ref: NAME` for a reference',
    );
    return undefined;
  }
  if (reference !== undefined && own !== undefined) {
    reader.wrong('id', `The attribute has both \`id\` and \`ref\`.`, 'one of them');
    return undefined;
  }
  const name = reference ?? (prefix === '' || reader.has('key') ? own! : `${prefix}.${own!}`);
  const type = reader.has('type') ? readType(reader) : undefined;
  if (reference === undefined && !reader.has('type'))
    reader.wrong(
      undefined,
      `The attribute \`${name}\` lacks \`type\`.`,
      'string, int, double, boolean, a list of those, or members of an enum',
    );
  const level = readRequirement(reader);
  const stability = readStability(reader);
  const deprecated = readDeprecated(reader);
  const brief = reader.text('brief');
  return {
    name,
    isReference: reference !== undefined,
    identifying: options.identifying === true || reader.map['role'] === 'identifying',
    ...(type === undefined ? {} : { type }),
    ...(brief === undefined ? {} : { brief }),
    ...(level === undefined ? {} : level),
    ...(stability === undefined ? {} : { stability }),
    ...(deprecated === undefined ? {} : { deprecated }),
    where: reader.where,
  };
}

function readType(reader: FieldReader): RawAttribute['type'] {
  const value = reader.map['type'];
  if (typeof value === 'string') {
    if ((SCALAR_TYPES as readonly string[]).includes(value)) return { kind: 'scalar', name: value as ScalarType };
    reader.wrong(
      'type',
      `The type is ${JSON.stringify(value)}.`,
      `one of ${SCALAR_TYPES.slice(0, 10).join(', ')}, template[...], or {members: [...]}`,
    );
    return undefined;
  }
  const child = reader.child('type');
  if (child === undefined) return undefined;
  child.onlyKnown(['members', 'allow_custom_values'], 'the type');
  const list = child.list('members');
  if (list.length === 0) child.wrong('members', 'The enum has no members.', 'a list of {id, value}');
  const members: EnumMember[] = [];
  for (const index of list.keys()) {
    const member = child.item('members', index);
    if (member === undefined) continue;
    member.onlyKnown(MEMBER_KEYS, 'the enum member');
    const id = member.text('id');
    const memberValue = member.map['value'];
    if (id === undefined || id === '') {
      member.wrong(undefined, 'The enum member lacks `id`.', 'text');
      continue;
    }
    if (typeof memberValue !== 'string' && typeof memberValue !== 'number' && typeof memberValue !== 'boolean') {
      member.wrong('value', `The enum member \`${id}\` has no usable \`value\`.`, 'text, a number or a boolean');
      continue;
    }
    const deprecated = readDeprecated(member);
    members.push({ id, value: memberValue, where: member.where, ...(deprecated === undefined ? {} : { deprecated }) });
  }
  return { kind: 'enum', members };
}

/** A string, or a mapping of one level to its condition, e.g. `{conditionally_required: text}`. */
function readRequirement(reader: FieldReader): { requirement: Requirement; condition?: string } | undefined {
  const value = reader.map['requirement_level'];
  if (value === undefined || value === null) return undefined;
  const known = (level: string): level is Requirement => (REQUIREMENTS as readonly string[]).includes(level);
  if (typeof value === 'string' && known(value)) return { requirement: value };
  if (typeof value === 'object' && !Array.isArray(value)) {
    const entries = Object.entries(value);
    const [level, condition] = entries[0] ?? ['', ''];
    if (entries.length === 1 && known(level) && typeof condition === 'string')
      return { requirement: level, condition: condition.trim() };
  }
  reader.wrong(
    'requirement_level',
    'The requirement level is not known.',
    `one of ${REQUIREMENTS.join(', ')}, or {conditionally_required: why}`,
  );
  return undefined;
}

export function readStability(reader: FieldReader): Stability | undefined {
  const value = reader.text('stability');
  if (value === undefined) return undefined;
  // Renamed in semantic conventions 1.32: the two words mean one thing.
  if (value === 'experimental') return 'development';
  // The oldest files used the stability field for deprecation.
  if (value === 'deprecated') return undefined;
  if ((STABILITIES as readonly string[]).includes(value)) return value as Stability;
  reader.wrong('stability', `The stability is ${JSON.stringify(value)}.`, `one of ${STABILITIES.join(', ')}`);
  return undefined;
}

/** Free text in older versions, `{reason, renamed_to | note}` in newer ones. */
export function readDeprecated(reader: FieldReader): Deprecation | undefined {
  const value = reader.map['deprecated'];
  if (value === undefined || value === null || value === false) return undefined;
  if (typeof value === 'string') return deprecationOfText(value);
  const child = reader.child('deprecated');
  if (child === undefined) return undefined;
  child.onlyKnown(['reason', 'renamed_to', 'note'], 'the deprecation');
  const reason = child.requiredText('reason', 'renamed, obsoleted, uncategorized or unspecified');
  const renamedTo = child.text('renamed_to');
  const note = child.text('note');
  if (reason === 'renamed' && renamedTo === undefined)
    child.wrong(undefined, 'The deprecation with reason `renamed` lacks `renamed_to`.', 'the new name');
  return {
    reason: reason ?? 'unspecified',
    ...(renamedTo === undefined ? {} : { renamedTo }),
    ...(note === undefined ? {} : { note }),
  };
}

/** "Replaced by `x.y` attribute." → renamed to x.y; any other text stays a note. */
function deprecationOfText(text: string): Deprecation {
  const match =
    /^(?:Replaced by|Renamed to|Use) `(?<name>[a-z0-9_.]+)`(?:\s+(?:attribute|metric|event|instead)\b[^,;]*)?\.?$/i.exec(
      text.trim(),
    );
  const renamedTo = match?.groups?.['name'];
  return {
    reason: renamedTo === undefined ? 'text' : 'renamed',
    note: text.trim(),
    ...(renamedTo === undefined ? {} : { renamedTo }),
  };
}
