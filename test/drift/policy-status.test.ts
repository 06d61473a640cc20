// What policy engines run, against what Git declares and against each other.
import { describe, expect, it } from 'vitest';
import { parseYaml } from '../../src/config/document.ts';
import type { Json } from '../../src/core/json.ts';
import { bundleStatuses, isOpaStatus } from '../../src/drift/opa-status.ts';
import { type PolicySide, policyFindings } from '../../src/drift/policy-status.ts';

const HOUR = 3_600_000;
const CAPTURED = '2026-01-15T07:00:00Z';
/** A cluster whose engines run these revisions of bundle `routing`. */
function side(cluster: string, revisions: string[], more: { declared?: string; base?: string; state?: object } = {}): PolicySide {
  const source = parseYaml('{}', 'x.yaml');
  return {
    cluster,
    capturedAt: CAPTURED,
    declared: new Map(more.declared === undefined ? [] : [['routing', more.declared]]),
    declaredBase: new Map(more.base === undefined ? [] : [['routing', more.base]]),
    statuses: revisions.flatMap((revision, index) =>
      bundleStatuses(
        { labels: { id: `opa-${index}` }, bundles: { routing: { active_revision: revision, ...more.state } } } as unknown as Json,
        source,
        [],
        'engine',
      ),
    ),
  };
}
const found = (...sides: PolicySide[]): string[] =>
  policyFindings(sides, HOUR).map(({ ruleId, message }) => `${ruleId.replace('drift-', '')}: ${message}`);

describe('revisions', () => {
  it('that Git declares are right, and no other', () => {
    expect(found(side('a', ['2'], { declared: '2' }))).toEqual([]);
    expect(found(side('a', ['1', '2'], { declared: '2' }))).toEqual([
      'policy-revision-skew: a opa-0 runs revision 1 of policy bundle routing, Git says 2.',
    ]);
    expect(found(side('a', ['1'], { declared: '2' }), side('b', ['1']), side('c', ['1']))).toEqual([
      'policy-revision-skew: a opa-0 runs revision 1 of policy bundle routing, Git says 2.',
    ]);
  });
  it('that the change replaces are on their way', () => {
    expect(found(side('a', ['1'], { declared: '2', base: '1' }))).toEqual([
      'pending: a runs revision 1 of policy bundle routing; this change brings 2.',
    ]);
    expect(found(side('a', ['0'], { declared: '2', base: '1' }))[0]).toMatch(/^policy-revision-skew/);
  });
  it('that Git does not declare are those of most engines, where most agree', () => {
    expect(found(side('a', ['1', '1']), side('b', ['2']))).toEqual([
      'policy-revision-skew: b opa-0 runs revision 2 of policy bundle routing, most of the fleet says 1.',
    ]);
    expect(found(side('a', ['1']), side('b', ['2']))).toEqual([]);
    expect(found(side('a', ['1']), side('b', ['2']), side('c', ['2']))).toHaveLength(1);
    expect(found(side('a', ['1', '1']), side('b', ['2', '2']), side('c', ['3']))).toEqual([]);
  });
  it('that an engine does not say cannot be told, where anything is expected', () => {
    expect(found(side('a', ['']))).toEqual([]);
    expect(found(side('a', [''], { declared: '1' }))[0]).toMatch(/^unverifiable: a opa-0 reports no revision/);
    expect(found(side('a', ['']), side('b', ['1']))[0]).toMatch(/^unverifiable/);
  });
});

describe('engines', () => {
  const last = (time: string): object => ({ last_successful_request: time });
  it('are stale beyond the age that is allowed, at the time of the snapshot', () => {
    expect(found(side('a', ['1'], { state: last('2026-01-15T06:00:00Z') }))).toEqual([]);
    expect(found(side('a', ['1'], { state: last('2026-01-15T05:59:59Z') }))).toEqual([
      'policy-stale: a opa-0 last reached the server of policy bundle routing 1 h before the snapshot.',
    ]);
    expect(found(side('a', ['1'], { state: last('yesterday') }))).toEqual([]);
  });
  it('that could not activate a bundle say so', () => {
    expect(found(side('a', ['1'], { state: { code: 'bundle_error', message: 'x' } }))).toEqual([
      'policy-activation-failed: a opa-0 could not activate policy bundle routing (bundle_error) and serves revision 1.',
    ]);
    expect(found(side('a', [''], { state: { errors: [{}] } }))).toEqual([
      'policy-activation-failed: a opa-0 could not activate policy bundle routing (errors) and serves revision unknown.',
    ]);
    expect(found(side('a', ['1'], { state: { code: '', errors: [] } }))).toEqual([]);
  });
});

// OPA documentation, Status API: `last_successful_request` came after `last_successful_download` and `last_successful_activation`.
it.each([
  [{ last_successful_request: 'r', last_successful_download: 'd', last_successful_activation: 'a' }, 'r'],
  [{ last_successful_download: 'd', last_successful_activation: 'a' }, 'd'],
  [{ last_successful_activation: 'a' }, 'a'],
  [{}, undefined],
])('the last contact of %j', (state, expected) => {
  const source = parseYaml('{}', 'x.yaml');
  const plain = { bundles: { b: state } } as unknown as Json;
  for (const status of [plain, { result: plain } as Json]) {
    expect(isOpaStatus(status)).toBe(true);
    expect(bundleStatuses(status, source, [], 'engine')).toMatchObject([
      { instance: 'engine', bundle: 'b', revision: '', lastRequest: expected },
    ]);
  }
  expect(isOpaStatus(state)).toBe(false);
  expect(bundleStatuses(state, source, [], 'engine')).toEqual([]);
});
