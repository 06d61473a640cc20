import { realpath } from 'node:fs/promises';
import { relative } from 'node:path';
import { loadConfig } from '../../config/load.ts';
import { ConfigurationError } from '../../core/errors.ts';
import type { FileTree, GateContext } from '../../core/gate-context.ts';
import { buildReport, type Report } from '../../core/report.ts';
import { applyWaivers } from '../../core/waiver.ts';
import { type Git, openGit } from '../../workspace/git.ts';
import { commitTree, folderTree, subtree } from '../../workspace/tree.ts';
import { openSides, type Sides } from '../check-run.ts';
import type { CommandSpec, Invocation } from '../framework.ts';
import { provenanceOf, toolBox } from '../provenance.ts';
import { seedFromCommit } from '../seed.ts';
import { compareCommand } from './compare.ts';
import { onDisk } from './manifests.ts';

export const command: CommandSpec = {
  name: 'drift',
  summary: 'what clusters run against what Git declares, and against each other',
  details: `Renders the overlay of every cluster in mixgate.yaml and compares it with the cluster's live snapshot, then the clusters
with each other in what must be equal. A snapshot that is missing, undated or too old makes the verdict inconclusive.
Judges the working tree; with --head a commit.`,
  options: {
    snapshot: {
      type: 'string',
      value: 'CLUSTER=PATH',
      multiple: true,
      description: "a cluster's snapshot, in place of the one in mixgate.yaml; repeatable",
    },
    base: {
      type: 'string',
      value: 'REF',
      description: 'what was declared before: live objects that equal it are pending, not drifted',
    },
    head: { type: 'string', value: 'REF', description: 'compare with this commit (default: the working tree)' },
  },
  examples: [
    { command: 'mixgate drift', does: 'every cluster, with the snapshots that mixgate.yaml names' },
    { command: 'mixgate drift --snapshot us-east=/var/snapshots/us-east.yaml', does: 'one snapshot from elsewhere' },
    {
      command: 'mixgate drift --head HEAD --report html=drift.html',
      does: 'on a schedule: the committed state, with a report for people',
    },
  ],
  subcommands: [compareCommand],
  run: async (invocation) => ({ report: await runDrift(invocation) }),
};

async function runDrift(invocation: Invocation): Promise<Report> {
  const { options } = invocation;
  const { git, sides, prefix } = await openRepository(invocation);
  const { config, waivers } = await loadConfig(sides.head, invocation.config);
  if (config.clusters === undefined)
    throw new ConfigurationError({
      message: 'there are no clusters to compare.',
      location: { file: invocation.config },
      fix: 'add a `clusters` section; `mixgate init` shows one.',
    });
  const snapshots = await snapshotFlags(invocation);
  const tools = toolBox(invocation);
  const context: GateContext = {
    now: invocation.now,
    progress: invocation.progress,
    signal: invocation.signal,
    seed: options.number('seed') ?? seedFromCommit(sides.head.commit),
    base: sides.base,
    guards: sides.tip,
    head: sides.head,
    changed: sides.changed,
    tool: tools.tool,
  };
  const { runDriftGate } = await import('../../drift/gate.ts');
  const result = await runDriftGate(context, config.drift ?? {}, config, {
    snapshots,
    appliedTree: async (commit) =>
      git !== undefined && (await git.exists(commit)) ? subtree(await commitTree(git, commit, prefix), prefix) : undefined,
  });
  const waived = applyWaivers(
    [result],
    waivers.filter((waiver) => waiver.rule.startsWith('drift-')),
    invocation.now.slice(0, 10),
  );
  return buildReport(
    waived.gates,
    provenanceOf(invocation, {
      ...(sides.head.commit === undefined ? {} : { head: { ref: options.string('head')!, commit: sides.head.commit } }),
      seed: context.seed,
      tools: tools.versions(),
    }),
    waived.findings,
  );
}

/** The working tree or the named commits; without a Git repository the folder as it is. */
async function openRepository(invocation: Invocation): Promise<{ git: Git | undefined; sides: Sides; prefix: string }> {
  const { dir, options } = invocation;
  const refs = { base: options.string('base'), head: options.string('head') };
  let git: Git;
  try {
    git = await openGit(dir);
  } catch (error) {
    if (!(error instanceof ConfigurationError) || refs.base !== undefined || refs.head !== undefined) throw error;
    return { git: undefined, sides: { base: undefined, tip: undefined, head: folderTree(dir), changed: undefined }, prefix: '' };
  }
  const prefix = relative(await realpath(git.root), await realpath(dir)).replaceAll('\\', '/');
  return { git, sides: await openSides(git, { dir, ...refs }), prefix };
}

async function snapshotFlags(invocation: Invocation): Promise<Map<string, { tree: FileTree; path: string; shown: string }>> {
  const snapshots = new Map<string, { tree: FileTree; path: string; shown: string }>();
  for (const value of invocation.options.strings('snapshot')) {
    const match = /^(?<cluster>[^=]+)=(?<path>.+)$/.exec(value);
    if (match === null)
      throw new ConfigurationError({ message: `--snapshot is ${JSON.stringify(value)}.`, expected: 'CLUSTER=PATH' });
    snapshots.set(match.groups!['cluster']!, await onDisk(invocation.dir, match.groups!['path']!));
  }
  return snapshots;
}
