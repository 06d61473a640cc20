import { type AttributeDefinition, type AttributeType, describeType, type EnumMember, enumValueType } from '../model.ts';
import type { Change, Touches } from './change.ts';

type Members = ReadonlyMap<string, EnumMember>;

/** What changed in an attribute's type or, for an enum, in its members (matched by id: two members may share a value). */
export function attributeTypeChanges(
  before: AttributeDefinition,
  after: AttributeDefinition,
  item: string,
  touches: Touches,
): Change[] {
  const subject = after.name;
  if (
    before.type.kind === 'enum' &&
    after.type.kind === 'enum' &&
    enumValueType(before.type.members.values()) === enumValueType(after.type.members.values())
  ) {
    return memberChanges(after, before.type.members, after.type.members, item, touches);
  }
  if (before.type.kind === 'scalar' && after.type.kind === 'scalar' && before.type.name === after.type.name) return [];
  const mild = isMild(before.type, after.type);
  return [
    {
      rule: 'telemetry-attribute-type-changed',
      item,
      subject,
      field: 'type',
      before: describeType(before.type),
      after: describeType(after.type),
      breaks: mild ? 'consumer' : 'both',
      severity: mild ? 'warn' : 'fail',
      message: `The type of \`${subject}\` changed from ${describeType(before.type)} to ${describeType(after.type)}.`,
      fix: 'Keep the type, or add a new attribute beside it.',
      location: after.where('type'),
      inBase: false,
      touches,
    },
  ];
}

/** int → double, and string → enum of strings: readers cope in most cases. */
function isMild(before: AttributeType, after: AttributeType): boolean {
  if (before.kind !== 'scalar') return false;
  if (after.kind === 'enum') return before.name === enumValueType(after.members.values());
  return before.name === 'int' && after.name === 'double';
}

function memberChanges(after: AttributeDefinition, was: Members, is: Members, item: string, touches: Touches): Change[] {
  const changes: Change[] = [];
  for (const [id, member] of was) {
    const now = is.get(id);
    if (now === undefined) {
      changes.push({
        rule: 'telemetry-enum-member-removed',
        item,
        subject: after.name,
        field: `member ${id}`,
        before: String(member.value),
        after: '',
        breaks: 'both',
        severity: 'fail',
        message: `The enum \`${after.name}\` lost the member \`${id}\` (${JSON.stringify(member.value)}).`,
        fix: 'Keep the member and mark it `deprecated`.',
        location: after.where('type'),
        inBase: false,
        touches,
        related: [{ ...member.where('id'), message: `\`${id}\` in base` }],
      });
    } else if (now.value !== member.value) {
      changes.push({
        rule: 'telemetry-enum-value-changed',
        item,
        subject: after.name,
        field: `member ${id}`,
        before: String(member.value),
        after: String(now.value),
        breaks: 'both',
        severity: 'fail',
        message: `The member \`${id}\` of \`${after.name}\` changed its value from ${JSON.stringify(member.value)} to ${JSON.stringify(now.value)}.`,
        fix: 'Keep the value, or add a new member beside it.',
        location: now.where('value'),
        inBase: false,
        touches,
      });
    }
  }
  const values = new Set([...was.values()].map((member) => member.value));
  // A new id for a value that existed already is nothing that telemetry could show.
  const added = [...is.values()].filter((member) => !was.has(member.id) && !values.has(member.value));
  if (added.length > 0) {
    const list = added.map((member) => `\`${member.id}\``).join(', ');
    changes.push({
      rule: 'telemetry-enum-member-added',
      item,
      subject: after.name,
      field: 'members',
      before: '',
      after: added.map((member) => String(member.value)).join(', '),
      breaks: 'consumer',
      severity: 'warn',
      message: `The enum \`${after.name}\` has ${added.length === 1 ? 'the new member' : 'new members'} ${list}.`,
      fix: 'Check the dashboards, alerts and policies that list its values.',
      location: added[0]!.where('id'),
      inBase: false,
      touches,
    });
  }
  return changes;
}
