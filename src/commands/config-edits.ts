import { type Config, type LoadedConfig, loadConfig } from '../config/load.ts';
import { ConfigurationError } from '../core/errors.ts';
import { type Finding, finding } from '../core/finding.ts';
import type { FileTree } from '../core/gate-context.ts';
import { canonicalJson } from '../core/json.ts';
import { below } from '../workspace/tree.ts';

/** Both ends of a change, and the tip of the branch that it goes to. */
interface ConfigSides {
  readonly base: FileTree | undefined;
  readonly head: FileTree;
}

type Rules = Pick<LoadedConfig, 'config' | 'waivers'>;

/**
 * What the change edits of the gate's own rules. Head's configuration judges nothing yet, but everything after the merge: it
 * must load, and somebody must have looked at it.
 * @param current the rules that judge this change
 * @throws ConfigurationError where head's configuration is gone or broken
 */
export async function configEdits(sides: ConfigSides, file: string, current: Rules): Promise<readonly Finding[]> {
  if ((await sides.head.read(file)) === undefined) {
    throw new ConfigurationError({
      message: 'the change deletes the gate configuration.',
      location: { file },
      fix: 'keep the file; a gate is removed in a change of its own, by an owner.',
    });
  }
  const head = await loadConfig(sides.head, file);
  const before = (await startingPoint(sides.base, file)) ?? current;
  const names = [...new Set([...Object.keys(before.config), ...Object.keys(head.config)])].sort();
  const section = (rules: Rules, name: string): unknown => (rules.config as unknown as Record<string, unknown>)[name];
  const edited = names.filter((name) => !same(section(before, name), section(head, name)));
  const findings: Finding[] = [];
  const report = (message: string, at: string): void => {
    findings.push(
      finding({
        ruleId: 'gate-changed',
        level: 'warning',
        message: `${message}; base's version judges this change, the new one all that follow.`,
        location: { file: at, line: 1 },
        subject: at,
        fix: 'Have an owner of the gate look at it.',
      }),
    );
  };
  if (edited.length > 0)
    report(`The change edits ${edited.map((name) => `\`${name}\``).join(', ')} in the configuration of the gate`, file);
  const waivers = ({ waivers: list }: Rules): unknown => list.map(({ location: _, ...waiver }) => waiver);
  if (!same(waivers(before), waivers(head)))
    report('The change edits the waivers', head.config.waivers ?? before.config.waivers ?? file);
  return findings;
}

/**
 * Snapshots of clusters that a change edits along with other files. Drift believes them: one that comes with a change says what its author
 * wrote, not what the cluster runs. A change of snapshots alone is how they get into the repository.
 */
export function snapshotEdits(config: Config, changed: readonly string[] | undefined): readonly Finding[] {
  const isSnapshot = (config.clusters ?? []).flatMap(({ snapshot }) => (snapshot === undefined ? [] : [below(snapshot)]));
  const edited = (changed ?? []).filter((path) => isSnapshot.some((matches) => matches(path)));
  if (edited.length === 0 || edited.length === changed?.length) return [];
  return edited.map((file) =>
    finding({
      ruleId: 'gate-changed',
      level: 'warning',
      message: `The change edits the snapshot ${file} beside other files: drift is judged by what its author says the cluster runs.`,
      location: { file, line: 1 },
      subject: file,
      fix: 'Leave snapshots to whatever takes them from the clusters.',
    }),
  );
}

/** The rules as the change found them; undefined where there were none, or none that load. */
async function startingPoint(base: FileTree | undefined, file: string): Promise<Rules | undefined> {
  if (base === undefined || (await base.read(file)) === undefined) return undefined;
  try {
    return await loadConfig(base, file);
  } catch (error) {
    if (error instanceof ConfigurationError) return undefined;
    throw error;
  }
}

function same(a: unknown, b: unknown): boolean {
  return canonicalJson(a ?? null) === canonicalJson(b ?? null);
}
