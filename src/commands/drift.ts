import { randomBytes } from 'node:crypto';
import { lstat, realpath } from 'node:fs/promises';
import { basename, isAbsolute, relative, resolve } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { FileTree, GateContext, Tool } from '../core/gate-context.ts';
import { buildReport, type Provenance, type Report } from '../core/report.ts';
import { applyWaivers } from '../core/waiver.ts';
import { packageVersion } from '../tools/package-root.ts';
import { resolveTool } from '../tools/resolve.ts';
import { type Git, openGit } from '../workspace/git.ts';
import { commitTree, folderTree, subtree } from '../workspace/tree.ts';
import { openSides, type Sides } from './check-run.ts';
import type { CommandSpec, Invocation } from './framework.ts';
import { seedFromCommit } from './seed.ts';

const compare: CommandSpec = {
  name: 'compare',
  summary: 'compare two sets of manifests: what differs for traffic, policy and models',
  positionals: 'LEFT RIGHT',
  minPositionals: 2,
  maxPositionals: 2,
  details: `Each side is a YAML or JSON file (a manifest, a stream, a List as kubectl prints it) or a folder of them; a folder with a
kustomization is rendered. What API servers add (defaults, status, managedFields, metadata) is no difference; route
weights are compared as shares of traffic. LEFT is what should be.`,
  options: {
    crd: {
      type: 'string',
      value: 'FILE',
      multiple: true,
      description: 'CustomResourceDefinition whose defaults are applied; repeatable',
    },
  },
  examples: [
    { command: 'mixgate drift compare clusters/us-east live/us-east.yaml', does: 'an overlay against a snapshot' },
    { command: 'mixgate drift compare live/us-east.yaml live/eu-west.yaml --format json', does: 'two clusters, as JSON' },
  ],
  run: async (invocation) => ({ report: await runCompare(invocation) }),
};

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
  subcommands: [compare],
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
  const tools = new Map<string, string>();
  const context: GateContext = {
    now: invocation.now,
    progress: invocation.progress,
    signal: invocation.signal,
    seed: options.number('seed') ?? seedFromCommit(sides.head.commit),
    ...sides,
    tool: toolOf(invocation, tools),
  };
  const { runDriftGate } = await import('../drift/gate.ts');
  const result = await runDriftGate(context, config.drift ?? {}, config, {
    snapshots,
    appliedTree: async (commit) =>
      git !== undefined && (await git.exists(commit)) ? subtree(await commitTree(git, commit), prefix) : undefined,
  });
  const waived = applyWaivers(
    [result],
    waivers.filter((waiver) => waiver.rule.startsWith('drift-')),
    invocation.now.slice(0, 10),
  );
  return buildReport(
    waived.gates,
    {
      ...provenanceOf(invocation, context.seed, tools),
      ...(sides.head.commit === undefined ? {} : { head: { ref: options.string('head')!, commit: sides.head.commit } }),
    },
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
    return { git: undefined, sides: { base: undefined, head: folderTree(dir), changed: undefined }, prefix: '' };
  }
  const prefix = relative(await realpath(git.root), await realpath(dir)).replaceAll('\\', '/');
  return { git, sides: await openSides(git, { dir, ...refs }), prefix };
}

async function runCompare(invocation: Invocation): Promise<Report> {
  const [left, right] = invocation.positionals as [string, string];
  const tools = new Map<string, string>();
  const context = { signal: invocation.signal, tool: toolOf(invocation, tools) };
  const { compareSets } = await import('../drift/compare.ts');
  const { loadDefaults } = await import('../kubernetes/crds.ts');
  const { normalise } = await import('../kubernetes/normalise.ts');
  const defaults = await loadDefaults(folderTree(invocation.dir), []);
  const merged = new Map(defaults);
  for (const crd of invocation.options.strings('crd')) {
    const place = await onDisk(invocation.dir, crd);
    for (const [key, node] of await loadDefaults(place.tree, [place.path])) if (node !== defaults.get(key)) merged.set(key, node);
  }
  const maskKey = randomBytes(32);
  const names = shortNames(left, right);
  const load = async (path: string, name: string): Promise<{ name: string; objects: ReturnType<typeof normalise>[] }> => {
    const place = await onDisk(invocation.dir, path);
    return {
      name,
      objects: (await objectsAt(place, context)).map((object) =>
        normalise({ ...object, locate: (at) => shown(place, object.locate(at)) }, { defaults: merged, maskKey }),
      ),
    };
  };
  const result = compareSets(await load(left, names[0]), await load(right, names[1]), new Set(['traffic', 'safety']));
  return buildReport([result], provenanceOf(invocation, invocation.options.number('seed') ?? 1, tools));
}

/** File names where they differ, else the paths as they were typed. */
function shortNames(left: string, right: string): readonly [string, string] {
  const [a, b] = [basename(resolve('/', left)), basename(resolve('/', right))];
  return a === b || a === '' || b === '' ? [left, right] : [a, b];
}

interface Place {
  readonly tree: FileTree;
  /** Path in the tree. */
  readonly path: string;
  /** What goes in front of the tree's paths to make them the user's. */
  readonly prefix: string;
  readonly shown: string;
}

/** A path that the user named on the command line; files outside the repository are fine, the user chose them. */
async function onDisk(dir: string, path: string): Promise<Place> {
  const full = resolve(dir, path);
  const stat = await lstat(full).catch(() => undefined);
  if (stat === undefined)
    throw new ConfigurationError({ message: `${path} does not exist.`, expected: 'a YAML file or a folder of manifests' });
  if (!stat.isFile() && !stat.isDirectory())
    throw new ConfigurationError({
      message: `${path} is neither a file nor a folder.`,
      expected: 'a YAML file or a folder of manifests',
    });
  const inside = relative(dir, full);
  if (inside !== '' && !inside.startsWith('..') && !isAbsolute(inside))
    return { tree: folderTree(dir), path: inside.replaceAll('\\', '/'), prefix: '', shown: path };
  const parent = stat.isFile() ? resolve(full, '..') : full;
  return {
    tree: folderTree(parent, path),
    path: relative(parent, full),
    prefix: path.slice(0, path.length - relative(parent, full).length),
    shown: path,
  };
}

function shown<T extends { readonly file: string }>(place: Place, location: T): T {
  if (place.prefix === '') return location;
  const slash = place.prefix.endsWith('/') || location.file === '' ? '' : '/';
  return { ...location, file: `${place.prefix}${slash}${location.file}` };
}

async function objectsAt(
  place: Place,
  context: { signal: AbortSignal; tool(name: string): Promise<Tool> },
): Promise<readonly import('../kubernetes/object.ts').KubeObject[]> {
  const { renderFolder } = await import('../kubernetes/render.ts');
  const { readSnapshot } = await import('../drift/snapshot.ts');
  const { kustomizationFile } = await import('../kubernetes/kustomization.ts');
  if ((await place.tree.read(place.path)) === undefined && (await kustomizationFile(place.tree, place.path)) !== undefined)
    return renderFolder(place.tree, place.path, context);
  // A command that printed nothing is not a cluster without objects: that is a List without items.
  const single = await place.tree.read(place.path);
  if (single !== undefined && single.toString('utf8').trim() === '')
    throw new ConfigurationError({ message: `${place.shown} is empty.`, expected: 'a YAML file or a folder of manifests' });
  const snapshot = await readSnapshot(place.tree, place.path);
  if (snapshot === undefined)
    throw new ConfigurationError({
      message: `there are no manifests in ${place.shown}.`,
      expected: 'a YAML file or a folder of manifests',
    });
  return snapshot.objects;
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

function toolOf(invocation: Invocation, used: Map<string, string>): (name: string) => Promise<Tool> {
  return async (name) => {
    const tool = await resolveTool(name, { progress: invocation.progress, signal: invocation.signal });
    used.set(name, tool.version);
    return tool;
  };
}

function provenanceOf(invocation: Invocation, seed: number, tools: ReadonlyMap<string, string>): Provenance {
  return {
    tool: { name: 'mixgate', version: packageVersion() },
    command: invocation.command,
    seed,
    tools: Object.fromEntries([...tools].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}
