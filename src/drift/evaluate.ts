import type { Finding } from '../core/finding.ts';
import { type GateResult, gateResult, type Measurement, type Table } from '../core/gate.ts';
import { append } from '../core/multimap.ts';
import type { NormalisedObject } from '../kubernetes/normalise.ts';
import { objectName } from '../kubernetes/object.ts';
import { textAt } from '../kubernetes/path.ts';
import { type ClusterOutcome, compareCluster } from './cluster.ts';
import { Contract } from './contract.ts';
import type { DriftCluster, DriftInput } from './input.ts';
import { type Outlier, outliers } from './nway.ts';
import { declaredOutliers, oddOne, outlierFindings, sameObject } from './outliers.ts';
import { policyFindings } from './policy-status.ts';
import { driftFinding } from './rules.ts';
import { instantMs } from './time.ts';
import { unusable, withoutConflicts } from './usable.ts';
import { allowanceTable, stateTable, trafficCharts, trafficTable, type ViewCluster } from './view.ts';

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
  for (const [cluster, outcome] of outcomes) for (const image of outcome.movingImages) append(where, image, cluster);
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
