import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { compareSets } from '../../src/drift/compare.ts';
import { readManifests } from '../../src/kubernetes/load.ts';
import { normalise } from '../../src/kubernetes/normalise.ts';
import { HAS_SHARED_DATA, OPTIONS, SHARED_DATA } from '../kubernetes/support.ts';

const CLASSES = new Set(['traffic', 'safety', 'cosmetic'] as const);

function side(name: string, text: string) {
  return { name, objects: readManifests(text, name).objects.map((object) => normalise(object, OPTIONS)) };
}

/** What a person would have written: the last applied configuration, else the live object without what the server filled in. */
function asWritten(value: JsonObject): Json {
  const { status: _status, ...rest } = structuredClone(value) as { [key: string]: Json };
  const {
    annotations,
    uid: _u,
    resourceVersion: _r,
    generation: _g,
    creationTimestamp: _c,
    managedFields: _m,
    ...metadata
  } = rest['metadata'] as { [key: string]: Json };
  const applied = (annotations as JsonObject | undefined)?.['kubectl.kubernetes.io/last-applied-configuration'];
  return typeof applied === 'string' ? (JSON.parse(applied) as Json) : withoutDefaults({ ...rest, metadata });
}

const FILLED: { readonly [key: string]: readonly Json[] } = {
  progressDeadlineSeconds: [600],
  revisionHistoryLimit: [10],
  terminationMessagePath: ['/dev/termination-log'],
  terminationMessagePolicy: ['File'],
  dnsPolicy: ['ClusterFirst'],
  restartPolicy: ['Always'],
  schedulerName: ['default-scheduler'],
  terminationGracePeriodSeconds: [30],
  protocol: ['TCP'],
  sessionAffinity: ['None'],
  internalTrafficPolicy: ['Cluster'],
  failureMode: ['FailClose'],
};

function withoutDefaults(value: Json): Json {
  if (Array.isArray(value)) return (value as readonly Json[]).map(withoutDefaults);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([key, member]) =>
          !(FILLED[key]?.includes(member) === true) &&
          member !== null &&
          key !== 'strategy' &&
          key !== 'imagePullPolicy' &&
          key !== 'clusterIP' &&
          key !== 'clusterIPs',
      )
      .map(([key, member]) => [key, withoutDefaults(member)]),
  );
}

describe.skipIf(!HAS_SHARED_DATA)('objects that a real API server returned (skipped where the shared data is absent)', () => {
  it.each(['httproutes.yaml', 'inferencepools.yaml', 'deploy-svc.yaml'])(
    '%s: what was applied and what came back mean the same',
    (file) => {
      const text = readFileSync(join(SHARED_DATA, 'k8s/live', file), 'utf8');
      const live = side(file, text);
      const written = side(
        'written',
        stringify({ apiVersion: 'v1', kind: 'List', items: live.objects.map((object) => asWritten(object.raw)) }),
      );
      expect(live.objects.length).toBeGreaterThan(1);
      const result = compareSets(written, live, CLASSES);
      expect(
        result.findings.filter((finding) => finding.ruleId !== 'drift-unverifiable').map((finding) => finding.message),
      ).toEqual([]);
      expect(result.measurements).toContainEqual({ name: 'drift.objects.drifted', value: 0, unit: '{object}' });
    },
  );

  it('70/30 against 30/70 moves 40 points of traffic', () => {
    const text = readFileSync(join(SHARED_DATA, 'k8s/live/httproutes.yaml'), 'utf8');
    const edited = text.replace('weight: 70', 'weight: 30#').replace('weight: 30\n', 'weight: 70\n').replace('30#', '30');
    const result = compareSets(side('git', text), side('live', edited), CLASSES);
    expect(result.verdict).toBe('fail');
    expect(result.findings.map((finding) => finding.message.split('. ')[0])).toEqual([
      expect.stringMatching(
        /live sends 70 % of httproute-weighted-two-pools traffic to secondary-inference-pool, git says 30 % \(\+40 pp\)/,
      ),
    ]);
  });
});
