import type { Finding } from '../core/finding.ts';
import type { NormalisedObject } from '../kubernetes/normalise.ts';
import { objectKey, objectName } from '../kubernetes/object.ts';
import type { ClusterOutcome } from './cluster.ts';
import type { Contract } from './contract.ts';
import type { DriftInput } from './input.ts';
import { type Outlier, outliers } from './nway.ts';
import { driftFinding } from './rules.ts';

/** Outliers in what Git itself declares, that this change brings: at base the clusters were equal there. */
export function declaredOutliers(input: DriftInput): readonly Outlier[] {
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

/** Clusters that differ from the others, in what they run and in what Git declares; what drift reports already is left out. */
export function outlierFindings(
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

/** Who differs from whom, in one sentence. */
export function oddOne(each: Outlier): string {
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

/** Whether an outlier is about this object. */
export function sameObject(outlier: Outlier, object: NormalisedObject): boolean {
  const own = outlier.object ?? outlier.reference.object;
  return own !== undefined && own.kind === object.kind && (outlier.object === undefined || objectKey(own) === objectKey(object));
}
