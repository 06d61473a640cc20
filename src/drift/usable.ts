import type { Finding, Location } from '../core/finding.ts';
import type { NormalisedObject } from '../kubernetes/normalise.ts';
import { objectKey, objectName } from '../kubernetes/object.ts';
import type { DriftCluster, DriftInput } from './input.ts';
import { driftFinding } from './rules.ts';
import { age, instantMs } from './time.ts';

/** A clock that is a little ahead is no reason to doubt a snapshot. */
const CLOCK_SKEW_MS = 5 * 60_000;

interface Unusable {
  readonly sentence: string;
  readonly finding: Finding;
}

/** Why a cluster can't be judged; undefined when it can. */
export function unusable(cluster: DriftCluster, input: DriftInput): Unusable | undefined {
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
export function withoutConflicts(cluster: DriftCluster): { objects: readonly NormalisedObject[]; findings: readonly Finding[] } {
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
