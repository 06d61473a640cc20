import { decodeText, parseYaml, type SourceDocument } from '../config/document.ts';
import { problemsOf } from '../config/schema.ts';
import { nearest } from '../config/suggest.ts';
import { ConfigurationError, isMixgateError, type Problem } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import type { Table } from '../core/gate.ts';
import type { FileTree } from '../core/gate-context.ts';
import type { FlagsDocument } from '../generated/schemas.ts';
import type { RegoUse } from '../rego/uses.ts';
import { normalise } from '../workspace/tree.ts';
import { catalogFinding } from './rules.ts';

type Flag = FlagsDocument['flags'][number];

/** The list of feature flags, with the places of its parts. */
export interface FlagList {
  readonly file: string;
  readonly flags: readonly Flag[];
  readonly locate: SourceDocument['locate'];
}

/** Reads the list that catalog.flags names; one that can't be used is findings. @throws ConfigurationError when there is no such file */
export async function readFlags(tree: FileTree, file: string): Promise<FlagList | readonly Finding[]> {
  const bytes = await tree.read(file);
  if (bytes === undefined)
    throw new ConfigurationError({
      message: 'the file of feature flags does not exist (named by catalog.flags).',
      location: { file: normalise(file) },
      fix: 'correct the path, or add the file.',
    });
  const invalid = (problems: readonly Problem[]): readonly Finding[] =>
    problems.map((problem) =>
      catalogFinding('catalog-flag-invalid', {
        message: `${file} is no usable list of flags: ${problem.message}${problem.expected === undefined ? '' : ` Expected ${problem.expected}.`}`,
        location: problem.location ?? { file },
        subject: file,
        fix: problem.fix ?? 'Correct the entry; schemas/flags.schema.json says what each key is.',
      }),
    );
  try {
    const source = parseYaml(decodeText(bytes, file), file);
    const problems = problemsOf('flags', source);
    if (problems.length > 0) return invalid(problems);
    const { flags } = source.value as unknown as FlagsDocument;
    return { file, flags, locate: source.locate };
  } catch (error) {
    if (!isMixgateError(error)) throw error;
    return invalid(error.problems);
  }
}

/**
 * What is wrong with flags and with how the policy uses them. Pure.
 * @param uses references of the policy's modules; undefined when no policy is configured
 * @param now ISO time: a flag has expired from its day's begin (UTC) on
 */
export function flagFindings(list: FlagList, uses: readonly RegoUse[] | undefined, now: string): readonly Finding[] {
  return [
    ...list.flags.flatMap((flag, index) => ownFindings(list, flag, index, now)),
    ...(uses === undefined ? [] : useFindings(list, uses)),
  ];
}

function ownFindings(list: FlagList, flag: Flag, index: number, now: string): readonly Finding[] {
  const findings: Finding[] = [];
  const at = (key?: string) => list.locate(key === undefined ? ['flags', index] : ['flags', index, key]);
  if (list.flags.findIndex((other) => other.id === flag.id) < index)
    findings.push(
      catalogFinding('catalog-flag-invalid', {
        message: `The flag ${flag.id} is listed twice.`,
        location: at('id'),
        subject: flag.id,
        fix: 'Delete one of the entries.',
      }),
    );
  if (flag.value !== undefined && typeof flag.value !== typeof flag.default)
    findings.push(
      catalogFinding('catalog-flag-invalid', {
        message: `The value of flag ${flag.id} is a ${typeof flag.value}, its default a ${typeof flag.default}.`,
        location: at('value'),
        subject: flag.id,
        fix: 'Give both the same type: the policy sees the default once the flag has expired.',
      }),
    );
  if (flag.owner === undefined || flag.owner.trim() === '')
    findings.push(
      catalogFinding('catalog-flag-owner-missing', {
        message: `Nobody owns the flag ${flag.id}.`,
        location: flag.owner === undefined ? at('id') : at('owner'),
        subject: flag.id,
        fix: 'Write `owner:` with the team that decides when it goes.',
      }),
    );
  if (Date.parse(flag.expires) <= Date.parse(now))
    findings.push(
      catalogFinding('catalog-flag-expired', {
        message: `The flag ${flag.id} expired on ${flag.expires}: runtimes give the policy its default, ${JSON.stringify(flag.default)}.`,
        location: at('expires'),
        subject: flag.id,
        evidence: { expires: flag.expires, owner: flag.owner ?? '', value: flag.value ?? flag.default, default: flag.default },
        fix: `Remove it from policy and catalogue, or let ${flag.owner ?? 'its owner'} set another day.`,
      }),
    );
  return findings;
}

/** `input.flags.x` of the policy against the list. A module that takes `input.flags` as a whole may use any of them. */
function useFindings(list: FlagList, uses: readonly RegoUse[]): readonly Finding[] {
  const findings: Finding[] = [];
  const known = new Set(list.flags.map(({ id }) => id));
  const used = new Set<string>();
  let whole = false;
  for (const { kind, text, location } of uses) {
    const [head, name] = text.split('.');
    if (kind !== 'input' || head !== 'flags') continue;
    if (name === undefined) {
      whole = true;
      continue;
    }
    const first = !used.has(name);
    used.add(name);
    if (known.has(name) || !first) continue;
    const guess = nearest(name, known);
    findings.push(
      catalogFinding('catalog-flag-unknown', {
        message: `The policy reads input.flags.${name}, which ${list.file} does not list.`,
        location,
        related: [{ ...list.locate(['flags']), message: 'the flags there are' }],
        subject: name,
        fix:
          guess === undefined
            ? `Add ${name} with owner, default and expiry.`
            : `Did you mean ${guess}? Else add ${name} with owner, default and expiry.`,
      }),
    );
  }
  for (const [index, { id }] of list.flags.entries())
    if (!whole && !used.has(id))
      findings.push(
        catalogFinding('catalog-flag-unused', {
          message: `No policy reads the flag ${id}.`,
          location: list.locate(['flags', index, 'id']),
          subject: id,
          fix: 'Remove it from the catalogue, or read it in the policy.',
        }),
      );
  return findings;
}

/** The flags with what they are at `now`. */
export function flagTable(list: FlagList, now: string): Table {
  return {
    title: 'Feature flags',
    columns: ['flag', 'value', 'default', 'owner', 'expires', 'state'],
    rows: list.flags.map((flag) => [
      flag.id,
      JSON.stringify(flag.value ?? flag.default),
      JSON.stringify(flag.default),
      flag.owner ?? '-',
      flag.expires,
      Date.parse(flag.expires) <= Date.parse(now) ? 'expired' : 'in force',
    ]),
  };
}
