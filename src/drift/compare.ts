import type { Finding } from '../core/finding.ts';
import { type GateResult, gateResult, type Table } from '../core/gate.ts';
import { groupBy } from '../core/multimap.ts';
import type { NormalisedObject } from '../kubernetes/normalise.ts';
import { objectName } from '../kubernetes/object.ts';
import { changesOf, matchObjects, movingImages } from './changes.ts';
import { type DriftClass, isRouting } from './classify.ts';
import { changeFinding, type Sides } from './messages.ts';
import { driftFinding } from './rules.ts';
import { poolVersions } from './traffic.ts';
import { trafficTable } from './view.ts';

export interface ComparedSide {
  /** What the user calls it: the path. */
  readonly name: string;
  readonly objects: readonly NormalisedObject[];
}

/** Two sets of manifests, the first taken as what should be. */
export function compareSets(left: ComparedSide, right: ComparedSide, blocking: ReadonlySet<DriftClass>): GateResult {
  const sides: Sides = { left: left.name, right: right.name, subject: right.name, blocking };
  const versions = { left: poolVersions(left.objects), right: poolVersions(right.objects) };
  const matched = matchObjects(left.objects, right.objects);
  const findings: Finding[] = [];
  const rows: string[][] = [];
  for (const { left: a, right: b } of matched.pairs) {
    const changes = changesOf(a, b, versions);
    rows.push([
      objectName(a),
      changes.length === 0 ? 'equal' : 'drifted',
      changes
        .map((change) => change.label.replace(/^\./, ''))
        .join(', ')
        .slice(0, 200),
    ]);
    for (const [rule, group] of groupBy(changes, (change) => change.rule)) findings.push(changeFinding(rule, group, a, b, sides));
    if (a.convertedFrom !== b.convertedFrom) {
      findings.push(
        driftFinding('drift-api-generation', {
          message: `${objectName(a)} is ${String(a.raw['apiVersion'])} in ${left.name} and ${String(b.raw['apiVersion'])} in ${right.name}.`,
          location: b.locate(['apiVersion']),
          related: [a.locate(['apiVersion'])],
          fix: 'Move both sides to the newer version.',
          subject: right.name,
        }),
      );
    }
    for (const image of movingImages(a, b)) {
      findings.push(
        driftFinding('drift-unverifiable', {
          message: `The image of ${objectName(a)} is ${image} on both sides, a tag that moves: they may run different bytes.`,
          location: b.locate(['spec', 'template', 'spec', 'containers']),
          fix: 'Name the image by version and digest.',
          subject: right.name,
        }),
      );
    }
  }
  for (const object of matched.onlyLeft) {
    rows.push([objectName(object), 'missing', '']);
    const grave = blocking.has(isRouting(object.kind) ? 'traffic' : 'safety');
    findings.push(
      driftFinding('drift-object-missing', {
        level: grave ? 'error' : 'warning',
        message: `${right.name} has no ${objectName(object)}, which ${left.name} has.`,
        location: object.locate(['metadata', 'name']),
        subject: right.name,
      }),
    );
  }
  for (const object of matched.onlyRight) {
    rows.push([objectName(object), 'extra', '']);
    const grave = isRouting(object.kind) && blocking.has('traffic');
    findings.push(
      driftFinding('drift-object-extra', {
        level: grave ? 'error' : 'warning',
        message: `${right.name} has ${objectName(object)}, which ${left.name} does not have.`,
        location: object.locate(['metadata', 'name']),
        subject: right.name,
      }),
    );
  }
  const view = [{ name: right.name, desired: left.objects, live: right.objects, states: undefined }];
  const traffic = trafficTable(view, left.name);
  const table: Table = {
    title: `${left.name} against ${right.name}`,
    columns: ['object', 'state', 'fields'],
    rows: rows.sort(([a], [b]) => (a! < b! ? -1 : 1)),
  };
  return gateResult({
    id: 'drift',
    findings,
    measurements: [
      { name: 'drift.objects.compared', value: rows.length, unit: '{object}' },
      { name: 'drift.objects.drifted', value: rows.filter((row) => row[1] !== 'equal').length, unit: '{object}' },
    ],
    tables: traffic === undefined ? [table] : [{ ...traffic, note: `${left.name} in brackets where it says otherwise` }, table],
    passReason: `${matched.pairs.length} of ${rows.length} objects are on both sides and mean the same`,
    inconclusive: rows.length === 0 ? 'There is no object on either side: nothing was compared.' : undefined,
  });
}
