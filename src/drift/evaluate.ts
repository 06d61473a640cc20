import type { Finding, Location } from '../core/finding.ts';
import { type GateResult, gateResult, type Measurement, type Table } from '../core/gate.ts';
import type { NormalisedObject } from '../kubernetes/normalise.ts';
import { objectKey, objectName } from '../kubernetes/object.ts';
import { textAt } from '../kubernetes/path.ts';
import type { DriftClass } from './classify.ts';
import { type ClusterOutcome, compareCluster } from './cluster.ts';
import { type Allowance, Contract, type Rollout } from './contract.ts';
import { type Member, type Outlier, outliers } from './nway.ts';
import type { BundleStatus } from './opa-status.ts';
import { policyFindings } from './policy-status.ts';
import { driftFinding } from './rules.ts';
import { age, instantMs } from './time.ts';
import { allowanceTable, stateTable, trafficCharts, trafficTable, type ViewCluster } from './view.ts';

/** One cluster: what Git declares for it, and its snapshot if there is one. */
export interface DriftCluster {
  readonly name: string;
  readonly baseline: boolean;
  readonly aliases: Member['aliases'];
  readonly desired: readonly NormalisedObject[];
  readonly base: readonly NormalisedObject[] | undefined;
  readonly snapshot: LiveState | undefined;
  /** Where a snapshot was looked for. */
  readonly snapshotFile: string;
}

export interface LiveState {
  readonly capturedAt: string | undefined;
  readonly capturedAtLocation: Location;
  /** The cluster the snapshot says it is from. */
  readonly cluster: string | undefined;
  readonly objects: readonly NormalisedObject[];
  readonly policies: readonly BundleStatus[];
}

export interface DriftInput {
  readonly clusters: readonly DriftCluster[];
  /** ISO 8601 instant that ages and expiries are judged by. */
  readonly now: string;
  readonly maxAgeMs: number;
  readonly policyMaxAgeMs: number;
  readonly equal: readonly string[];
  readonly blocking: ReadonlySet<DriftClass>;
  readonly reportExtra: boolean;
  readonly allow: readonly Allowance[];
  readonly rollouts: readonly Rollout[];
}

/** A clock that is a little ahead is no reason to doubt a snapshot. */
const CLOCK_SKEW_MS = 5 * 60_000;

/** Judges snapshots against Git and clusters against each other. Pure: equal inputs give equal results. */
export function evaluateDrift(input: DriftInput): GateResult {
  const contract = new Contract(input.allow, input.now);
  const usable = input.clusters.flatMap((cluster) => (unusable(cluster, input) === undefined ? [cluster] : []));
  const reasons = input.clusters.flatMap((cluster) => unusable(cluster, input) ?? []);
  const conflicts = usable.map((cluster) => ({ cluster, ...withoutConflicts(cluster) }));
  const live = new Map(conflicts.map(({ cluster, objects }) => [cluster.name, objects]));

  const odd = outliers(
    usable.map((cluster) => ({ ...cluster, objects: live.get(cluster.name)! })),
    input.equal,
  );
  const remarked = new Set<Outlier>();
  const outcomes = new Map<string, ClusterOutcome>();
  for (const cluster of usable) {
    outcomes.set(
      cluster.name,
      compareCluster(
        { cluster: cluster.name, desired: cluster.desired, base: cluster.base, live: live.get(cluster.name)! },
        contract,
        {
          blocking: input.blocking,
          rollouts: input.rollouts,
          reportExtra: input.reportExtra,
          now: input.now,
          remark(name, object) {
            const found = odd.filter((each) => each.cluster === name && sameObject(each, object));
            for (const each of found) remarked.add(each);
            return found[0] === undefined ? undefined : oddOne(found[0]);
          },
        },
      ),
    );
  }
  const findings: Finding[] = [
    ...reasons.map((reason) => reason.finding),
    ...conflicts.flatMap((each) => each.findings),
    ...[...outcomes.values()].flatMap((outcome) => outcome.findings),
    ...policyFindings(
      usable.map((cluster) => ({
        cluster: cluster.name,
        statuses: cluster.snapshot!.policies,
        capturedAt: cluster.snapshot!.capturedAt!,
        declared: declaredRevisions(cluster.desired),
        declaredBase: declaredRevisions(cluster.base ?? []),
      })),
      input.policyMaxAgeMs,
    ),
    ...outlierFindings(
      odd.filter((each) => !remarked.has(each)),
      declaredOutliers(input),
      outcomes,
      contract,
    ),
    ...movingFindings(outcomes, usable),
  ];
  findings.push(...contract.findings(new Set(usable.map((cluster) => cluster.name))));

  const view: ViewCluster[] = input.clusters.map((cluster) => ({
    name: cluster.name,
    desired: cluster.desired,
    live: live.get(cluster.name),
    states: outcomes.get(cluster.name)?.states,
  }));
  return gateResult({
    id: 'drift',
    findings,
    measurements: measurements(outcomes, input),
    tables: [trafficTable(view), stateTable(view), allowanceTable(contract)].filter(
      (table): table is Table => table !== undefined,
    ),
    charts: trafficCharts(view),
    passReason: passReason(outcomes, input),
    inconclusive: reasons.length === 0 ? undefined : reasons.map((reason) => reason.sentence).join(' '),
  });
}

function passReason(outcomes: ReadonlyMap<string, ClusterOutcome>, input: DriftInput): string {
  const pending = [...outcomes.values()]
    .flatMap((outcome) => [...outcome.states.values()])
    .filter((state) => state === 'pending').length;
  const base = `${outcomes.size} of ${input.clusters.length} clusters run what Git declares`;
  return pending === 0
    ? base
    : `${outcomes.size} of ${input.clusters.length} clusters run what Git declared before this change, which brings ${pending} objects`;
}

interface Unusable {
  readonly sentence: string;
  readonly finding: Finding;
}

/** Why a cluster can't be judged; undefined when it can. */
function unusable(cluster: DriftCluster, input: DriftInput): Unusable | undefined {
  const { name, snapshot } = cluster;
  const tell = (sentence: string, location: Location, fix: string): Unusable => ({
    sentence,
    finding: driftFinding('drift-snapshot-unusable', { message: sentence, location, fix, subject: name }),
  });
  const how =
    'Capture it again: `kubectl get httproutes,inferencepools,deployments,configmaps -A -o yaml` behind a ClusterSnapshot document with `capturedAt`.';
  if (snapshot === undefined)
    return tell(
      `${name} has no snapshot at ${cluster.snapshotFile}, so nothing is known about what it runs.`,
      { file: cluster.snapshotFile },
      how,
    );
  if (snapshot.cluster !== undefined && snapshot.cluster !== name)
    return tell(
      `The snapshot of ${name} says that it is from ${snapshot.cluster}.`,
      snapshot.capturedAtLocation,
      'Name the right file for each cluster.',
    );
  if (snapshot.capturedAt === undefined)
    return tell(`The snapshot of ${name} does not say when it was captured.`, snapshot.capturedAtLocation, how);
  const captured = instantMs(snapshot.capturedAt);
  if (captured === undefined)
    return tell(
      `The capture time of the snapshot of ${name} is not an RFC 3339 instant: ${snapshot.capturedAt.slice(0, 60)}.`,
      snapshot.capturedAtLocation,
      'Write it like 2026-01-15T06:00:00Z.',
    );
  const old = instantMs(input.now)! - captured;
  if (old < -CLOCK_SKEW_MS)
    return tell(
      `The snapshot of ${name} is from the future (${snapshot.capturedAt}).`,
      snapshot.capturedAtLocation,
      'Correct the clock that stamps it.',
    );
  if (old > input.maxAgeMs)
    return tell(
      `The snapshot of ${name} is ${age(old)} old, more than the ${age(input.maxAgeMs)} that count.`,
      snapshot.capturedAtLocation,
      how,
    );
  return undefined;
}

/** The same object from two sources of a snapshot must agree; the first one is judged. */
function withoutConflicts(cluster: DriftCluster): { objects: readonly NormalisedObject[]; findings: readonly Finding[] } {
  const kept = new Map<string, NormalisedObject>();
  const findings: Finding[] = [];
  for (const object of cluster.snapshot!.objects) {
    const first = kept.get(objectKey(object));
    if (first === undefined) {
      kept.set(objectKey(object), object);
      continue;
    }
    if (JSON.stringify(first.value) === JSON.stringify(object.value)) continue;
    findings.push(
      driftFinding('drift-source-conflict', {
        message: `Two sources of the snapshot of ${cluster.name} disagree about ${objectName(object)}.`,
        location: object.locate(['metadata', 'name']),
        related: [{ ...first.locate(['metadata', 'name']), message: 'the other source' }],
        fix: 'Capture all sources at one time, or give only one of them.',
        subject: cluster.name,
      }),
    );
  }
  return { objects: [...kept.values()], findings };
}

/** Outliers in what Git itself declares, that this change brings: at base the clusters were equal there. */
function declaredOutliers(input: DriftInput): readonly Outlier[] {
  const now = outliers(
    input.clusters.map((cluster) => ({ ...cluster, objects: cluster.desired })),
    input.equal,
  );
  if (input.clusters.some((cluster) => cluster.base === undefined)) return now;
  const before = new Set(
    outliers(
      input.clusters.map((cluster) => ({ ...cluster, objects: cluster.base! })),
      input.equal,
    ).map((each) => `${each.cluster}|${each.name}|${each.aspect}|${each.value}`),
  );
  return now.filter((each) => !before.has(`${each.cluster}|${each.name}|${each.aspect}|${each.value}`));
}

function outlierFindings(
  liveOdd: readonly Outlier[],
  declaredOdd: readonly Outlier[],
  outcomes: ReadonlyMap<string, ClusterOutcome>,
  contract: Contract,
): readonly Finding[] {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  const add = (each: Outlier, where: 'live' | 'Git'): void => {
    const id = `${each.cluster}|${each.name}|${each.aspect}`;
    const object = each.object ?? each.reference.object;
    if (object === undefined || seen.has(id)) return;
    const state = outcomes.get(each.cluster)?.states.get(objectName(object));
    // Drift from Git is reported as such; what is on its way or allowed is no news.
    if (where === 'live' && state !== undefined && state !== 'ok') return;
    seen.add(id);
    if (contract.cover({ cluster: each.cluster, object: objectName(object), path: each.path }) !== undefined) return;
    findings.push(
      driftFinding('drift-cluster-outlier', {
        message: `${oddOne(each)} ${each.aspect === 'weights' ? 'Traffic' : `The ${each.aspect}`} of ${objectName(object)} ${where === 'Git' ? 'is declared as' : 'is'} ${unlike(each.value, each.expected)}, in ${each.reference.cluster} ${unlike(each.expected, each.value)}.`,
        location: object.locate(each.path),
        related:
          each.reference.object === undefined
            ? []
            : [{ ...each.reference.object.locate(each.path), message: `as ${each.reference.cluster} has it` }],
        evidence: {
          aspect: each.aspect,
          cluster: each.cluster,
          value: each.value,
          reference: each.reference.cluster,
          expected: each.expected,
          clusters: each.of,
          tie: each.tie,
        },
        fix: 'Make the clusters equal, or write the difference down in `drift.allow` with owner, reason and expiry.',
        subject: each.cluster,
      }),
    );
  };
  for (const each of liveOdd) add(each, 'live');
  for (const each of declaredOdd) add(each, 'Git');
  return findings;
}

function oddOne(each: Outlier): string {
  if (each.tie)
    return `The ${each.of} clusters disagree and none has a majority; ${each.cluster} differs from ${each.reference.cluster}.`;
  return each.outliers === 1
    ? `${each.cluster} is the odd one of ${each.of} clusters.`
    : `${each.cluster} is one of ${each.outliers} of ${each.of} clusters that differ from ${each.reference.cluster}.`;
}

/** The parts of one description that the other doesn't have. */
function unlike(text: string, other: string): string {
  const parts = text.split(', ').filter((part) => !other.split(', ').includes(part));
  return (parts.join(', ') || text).slice(0, 300);
}

function sameObject(outlier: Outlier, object: NormalisedObject): boolean {
  const own = outlier.object ?? outlier.reference.object;
  return own !== undefined && own.kind === object.kind && (outlier.object === undefined || objectKey(own) === objectKey(object));
}

/** Revision by bundle from ConfigMaps labelled `mixgate.dev/policy-bundle`. */
function declaredRevisions(objects: readonly NormalisedObject[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const object of objects) {
    const bundle = textAt(object.value, ['metadata', 'labels', 'mixgate.dev/policy-bundle']);
    const revision = textAt(object.value, ['data', 'revision']);
    if (object.kind === 'ConfigMap' && bundle !== undefined && revision !== undefined) found.set(bundle, revision);
  }
  return found;
}

function movingFindings(outcomes: ReadonlyMap<string, ClusterOutcome>, clusters: readonly DriftCluster[]): readonly Finding[] {
  const where = new Map<string, string[]>();
  for (const [cluster, outcome] of outcomes)
    for (const image of outcome.movingImages) where.set(image, [...(where.get(image) ?? []), cluster]);
  return [...where].map(([image, names]) => {
    const title = image.slice(0, image.indexOf(': '));
    const object = clusters.find((cluster) => cluster.name === names[0])?.desired.find((each) => objectName(each) === title);
    return driftFinding('drift-unverifiable', {
      message: `The image of ${image.replace(': ', ' is ')}, a tag that moves: Git and ${names.join(', ')} look equal and may run different bytes.`,
      location: object?.locate(['spec', 'template', 'spec', 'containers']),
      fix: 'Name the image by version and digest.',
      subject: title,
    });
  });
}

function measurements(outcomes: ReadonlyMap<string, ClusterOutcome>, input: DriftInput): readonly Measurement[] {
  return [...outcomes].flatMap(([cluster, outcome]): Measurement[] => {
    const states = [...outcome.states.values()];
    const { live, declared } = outcome.coverage;
    const captured = instantMs(input.clusters.find((each) => each.name === cluster)!.snapshot!.capturedAt!)!;
    return [
      { name: 'drift.objects.compared', value: states.length, unit: '{object}', cluster },
      {
        name: 'drift.objects.drifted',
        value: states.filter((state) => ['drifted', 'missing', 'extra'].includes(state)).length,
        unit: '{object}',
        cluster,
      },
      { name: 'drift.coverage', value: live === 0 ? 1 : declared / live, unit: '1', cluster },
      {
        name: 'drift.snapshot.age',
        value: Math.round((instantMs(input.now)! - captured) / 1000),
        unit: 's',
        cluster,
        limit: input.maxAgeMs / 1000,
        volatile: true,
      },
    ];
  });
}
