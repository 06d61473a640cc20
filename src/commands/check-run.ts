import { existsSync, realpathSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { loadConfig } from '../config/load.ts';
import type { RunContext } from '../core/context.ts';
import { ConfigurationError } from '../core/errors.ts';
import { type GateId, type GateResult, withFindings } from '../core/gate.ts';
import type { GateContext } from '../core/gate-context.ts';
import { buildReport, type Report } from '../core/report.ts';
import { applyWaivers } from '../core/waiver.ts';
import { type Git, openGit } from '../workspace/git.ts';
import { commitTree, folderTree, normalise, subtree, type Tree } from '../workspace/tree.ts';
import { linkFindings, watched } from '../workspace/watched-tree.ts';
import { configEdits, snapshotEdits } from './config-edits.ts';
import { PULL_REQUEST_GATES, runGate } from './gates.ts';
import { provenanceOf, toolBox } from './provenance.ts';
import { seedFromCommit } from './seed.ts';

export interface CheckOptions {
  /** A folder inside the repository; mixgate.yaml is looked for there. */
  readonly dir: string;
  readonly config?: string;
  /** Ref or commit to compare with; its merge base with head is used. Absent: nothing to compare with. */
  readonly base?: string | undefined;
  /** Ref or commit to judge; absent: the working tree as it is. */
  readonly head?: string | undefined;
  readonly only?: readonly GateId[];
  readonly seed?: number | undefined;
  readonly command: string;
}

/** Every pull-request gate on base..head. Writes nothing. */
export async function runCheck(options: CheckOptions, run: Omit<RunContext, 'seed'>): Promise<Report> {
  const git = await openGit(options.dir);
  const sides = await openSides(git, options);
  const file = options.config ?? 'mixgate.yaml';
  // The gate's own configuration comes from base, so that a change can't weaken its gate. A base without one has no gate yet.
  const fromBase = sides.tip !== undefined && (await sides.tip.read(file)) !== undefined;
  if (!fromBase && (await sides.head.read(file)) === undefined) refuseBelow(options.dir, git.root, file);
  const { config, waivers } = await loadConfig(fromBase ? sides.tip! : sides.head, file);
  const edits = fromBase ? await configEdits(sides, file, { config, waivers }) : [];
  const tools = toolBox(run);
  const context: GateContext = {
    ...run,
    seed: options.seed ?? seedFromCommit(sides.head.commit ?? sides.base?.commit),
    base: sides.base,
    guards: sides.tip,
    head: sides.head,
    changed: sides.changed,
    tool: tools.tool,
  };
  const wanted = PULL_REQUEST_GATES.filter((gate) => options.only === undefined || options.only.includes(gate.id));
  const active = wanted.filter((gate) => gate.configured(config));
  if (active.length === 0) {
    throw new ConfigurationError({
      message:
        options.only === undefined
          ? `${file} configures no gate.`
          : `${file} does not configure ${wanted.map((gate) => gate.id).join(', ') || options.only.join(', ')}.`,
      fix: 'add a section (telemetry, policy, catalog, clusters, slo); `mixgate init` shows each.',
    });
  }
  const edited = fromBase && sides.changed?.includes(normalise(file)) === true;
  const results: GateResult[] = [];
  for (const gate of active) {
    run.progress.step(`${gate.id}: checking`);
    const head = watched(sides.head);
    const result = await runGate(gate, { ...context, head: head.tree }, config, edited ? file : undefined);
    const links = linkFindings(await head.links(), await sides.base?.links?.());
    results.push(
      withFindings(
        result,
        links.filter((f) => !results.some((other) => other.findings.some(({ id }) => id === f.id))),
      ),
    );
  }
  if (sides.tip !== sides.base && results.some((result) => result.findings.some((f) => f.ruleId === 'input-invalid')))
    run.progress.warn(
      `the change began before the newest commit of ${options.base}, which judges it: merge that in if files are missing.`,
    );
  const outcome = applyWaivers(
    results,
    options.only === undefined
      ? waivers
      : waivers.filter((waiver) => options.only!.some((id) => waiver.rule.startsWith(`${id}-`))),
    run.now.slice(0, 10),
  );
  const provenance = provenanceOf(
    { command: options.command, seed: context.seed },
    {
      ...(sides.base?.commit === undefined ? {} : { base: { ref: options.base!, commit: sides.base.commit } }),
      ...(sides.head.commit === undefined ? {} : { head: { ref: options.head!, commit: sides.head.commit } }),
      configFrom: fromBase ? `base ${sides.tip!.commit!.slice(0, 12)}` : (sides.head.commit?.slice(0, 12) ?? 'working tree'),
      tools: tools.versions(),
    },
  );
  return buildReport(outcome.gates, provenance, [...edits, ...snapshotEdits(config, sides.changed), ...outcome.findings]);
}

/** Whoever runs in a folder below the one with the configuration is told so: another configuration is not what they lack. */
function refuseBelow(dir: string, root: string, file: string): void {
  const top = realpathSync(root);
  for (let above = dirname(realpathSync(dir)); `${above}${sep}`.startsWith(`${top}${sep}`); above = dirname(above)) {
    if (!existsSync(join(above, file))) continue;
    throw new ConfigurationError({
      message: 'there is no configuration in this folder, but there is one above it.',
      location: { file: normalise(file) },
      fix: `run in the folder that has it, with -C ${JSON.stringify(relative(realpathSync(dir), above))}.`,
    });
  }
}

export interface Sides {
  /** Where the change left the branch that it goes to: what it is compared with. */
  readonly base: Tree | undefined;
  /** That branch as it is now: what judges the change. The same as `base` where nothing was committed since. */
  readonly tip: Tree | undefined;
  readonly head: Tree;
  readonly changed: readonly string[] | undefined;
}

/** Opens base and head as trees below `dir`. */
export async function openSides(
  git: Git,
  options: { readonly dir: string; readonly base?: string | undefined; readonly head?: string | undefined },
): Promise<Sides> {
  const prefix = relative(await realpath(git.root), await realpath(options.dir))
    .split(sep)
    .join('/');
  const head =
    options.head === undefined ? folderTree(options.dir) : subtree(await commitTree(git, options.head, prefix), prefix);
  if (options.base === undefined) return { base: undefined, tip: undefined, head, changed: undefined };
  // Compare with where the branch left base, as a pull request does: commits that base got since are not this change.
  const baseCommit = await git.mergeBase(options.base, options.head ?? 'HEAD');
  const base = subtree(await commitTree(git, baseCommit, prefix), prefix);
  const tipCommit = await git.resolve(options.base);
  const tip = tipCommit === baseCommit ? base : subtree(await commitTree(git, tipCommit, prefix), prefix);
  const changed = await changedBetween(
    base,
    head,
    options.head === undefined ? undefined : await git.changedFiles(baseCommit, head.commit!),
    prefix,
  );
  return { base, tip, head, changed };
}

async function changedBetween(
  base: Tree,
  head: Tree,
  known: readonly string[] | undefined,
  prefix: string,
): Promise<readonly string[]> {
  if (known !== undefined)
    return known.flatMap((path) =>
      prefix === '' ? [path] : path.startsWith(`${prefix}/`) ? [path.slice(prefix.length + 1)] : [],
    );
  const paths = [...new Set([...(await base.list()), ...(await head.list())])].sort();
  const [before, after] = [await base.readMany(paths), await head.readMany(paths)];
  return paths.filter((path) => {
    const [a, b] = [before.get(path), after.get(path)];
    return a === undefined || b === undefined ? a !== b : !a.equals(b);
  });
}
