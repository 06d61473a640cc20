import { randomBytes } from 'node:crypto';
import { decodeText, parseYaml, type SourceDocument } from '../config/document.ts';
import { CONFIG_FILE, type Config, type Section } from '../config/load.ts';
import { ConfigurationError, isMixgateError } from '../core/errors.ts';
import type { Location } from '../core/finding.ts';
import type { GateResult } from '../core/gate.ts';
import type { FileTree, GateContext } from '../core/gate-context.ts';
import { loadDefaults } from '../kubernetes/crds.ts';
import { type NormalisedObject, type NormaliseOptions, normalise } from '../kubernetes/normalise.ts';
import { renderFolder } from '../kubernetes/render.ts';
import { evaluateDrift } from './evaluate.ts';
import type { DriftCluster, LiveState } from './input.ts';
import type { Member } from './nway.ts';
import { readSnapshot } from './snapshot.ts';
import { durationMs } from './time.ts';

export interface DriftGateOptions {
  /** Snapshots by cluster that replace those of mixgate.yaml: a tree and a path in it. */
  readonly snapshots?: ReadonlyMap<string, { readonly tree: FileTree; readonly path: string; readonly shown: string }>;
  /** Opens the tree of a commit that a snapshot says was applied last; undefined when it isn't in the clone. */
  readonly appliedTree?: (commit: string) => Promise<FileTree | undefined>;
}

type ClusterConfig = Section<'clusters'>[number];

/** Live snapshots against what Git declares for each cluster, and the clusters against each other. */
export async function runDriftGate(
  context: GateContext,
  section: Section<'drift'>,
  config: Config,
  options: DriftGateOptions = {},
): Promise<GateResult> {
  const clusters = config.clusters ?? [];
  checkClusterNames(clusters, options);
  const normaliseOptions: NormaliseOptions = {
    defaults: await loadDefaults(context.head, section.crds ?? []),
    maskKey: randomBytes(32),
  };
  const judged: DriftCluster[] = [];
  for (const [index, cluster] of clusters.entries()) {
    context.progress.fraction(index, clusters.length, 'drift: rendering overlays');
    judged.push(await loadCluster(cluster, context, normaliseOptions, options));
  }
  const place = await configPlaces(context);
  return evaluateDrift({
    clusters: judged,
    now: context.now,
    maxAgeMs: durationMs(section.maxAge ?? '24h'),
    policyMaxAgeMs: durationMs(section.policyMaxAge ?? '1h'),
    equal: section.equal ?? ['weights', 'model', 'policy'],
    blocking: new Set(section.block ?? ['traffic', 'safety']),
    reportExtra: (section.extra ?? 'report') === 'report',
    allow: (section.allow ?? []).map((each, index) => ({ ...each, location: place(['drift', 'allow', index]) })),
    rollouts: (section.rollouts ?? []).map((each, index) => ({ ...each, location: place(['drift', 'rollouts', index]) })),
  });
}

function checkClusterNames(clusters: readonly ClusterConfig[], options: DriftGateOptions): void {
  const names = clusters.map((cluster) => cluster.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new ConfigurationError({
      message: `two clusters are named ${twice}.`,
      location: { file: CONFIG_FILE },
      fix: 'give each cluster its own name.',
    });
  for (const name of options.snapshots?.keys() ?? []) {
    if (!names.includes(name))
      throw new ConfigurationError({
        message: `--snapshot names the cluster ${JSON.stringify(name)}, which is not in ${CONFIG_FILE}.`,
        expected: `one of ${names.join(', ') || 'the clusters there (it has none)'}`,
      });
  }
}

async function loadCluster(
  cluster: ClusterConfig,
  context: GateContext,
  options: NormaliseOptions,
  gate: DriftGateOptions,
): Promise<DriftCluster> {
  const source = gate.snapshots?.get(cluster.name);
  const snapshotFile = source?.shown ?? cluster.snapshot ?? '(no snapshot in mixgate.yaml)';
  const snapshot =
    source !== undefined
      ? await readSnapshot(source.tree, source.path)
      : cluster.snapshot === undefined
        ? undefined
        : await readSnapshot(context.head, cluster.snapshot);
  const all = (objects: readonly Parameters<typeof normalise>[0][]): readonly NormalisedObject[] =>
    objects.map((object) => normalise(object, options));
  const live: LiveState | undefined = snapshot === undefined ? undefined : { ...snapshot, objects: all(snapshot.objects) };
  const desired = all(await renderFolder(context.head, cluster.overlay, context));
  const applied =
    context.base ?? (snapshot?.appliedCommit === undefined ? undefined : await gate.appliedTree?.(snapshot.appliedCommit));
  const base = applied === undefined ? undefined : await renderBase(applied, cluster, context);
  return {
    name: cluster.name,
    baseline: cluster.baseline ?? false,
    aliases: aliasesOf(cluster),
    desired,
    base: base === undefined ? undefined : all(base),
    snapshot: live,
    snapshotFile,
  };
}

/** What Git declared before. A base that can't be rendered says nothing about what is pending. */
async function renderBase(
  tree: FileTree,
  cluster: ClusterConfig,
  context: GateContext,
): Promise<readonly Parameters<typeof normalise>[0][] | undefined> {
  if ((await tree.list(cluster.overlay)).length === 0) return [];
  try {
    return await renderFolder(tree, cluster.overlay, context);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    context.progress.warn(
      `drift: the overlay of ${cluster.name} cannot be rendered at ${tree.name}; nothing is taken as pending there.`,
    );
    return undefined;
  }
}

/** Longest first, so that `us-east-1` is replaced before `us-east`. */
function aliasesOf(cluster: ClusterConfig): Member['aliases'] {
  const words: readonly (readonly [string, string])[] = [
    [cluster.region, '{region}'],
    [cluster.name, '{cluster}'],
    [cluster.trustZone, '{zone}'],
    [cluster.jurisdiction, '{jurisdiction}'],
  ];
  return words.toSorted((a, b) => b[0].length - a[0].length);
}

/** Places in the configuration file, for findings about its entries. */
async function configPlaces(context: GateContext): Promise<(path: readonly (string | number)[]) => Location> {
  const bytes = (await (context.guards ?? context.base)?.read(CONFIG_FILE)) ?? (await context.head.read(CONFIG_FILE));
  let source: SourceDocument | undefined;
  try {
    source = bytes === undefined ? undefined : parseYaml(decodeText(bytes, CONFIG_FILE), CONFIG_FILE);
  } catch (error) {
    if (!isMixgateError(error)) throw error;
  }
  return (path) => source?.locate(path) ?? { file: CONFIG_FILE };
}
