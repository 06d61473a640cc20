import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { restampSnapshot } from '../../src/drift/stamp.ts';
import { folderTree, type Tree } from '../../src/workspace/tree.ts';
import { ROOT } from '../support/cli.ts';
import { temporaryFolder } from '../support/folder.ts';
import { FLEET, found, runOn } from './support/gate.ts';

const CHANGES = join(ROOT, 'examples/fleet-changes');
const root = temporaryFolder();

/** The example fleet with the manifests of a change on top. */
function fleet(change?: 'good' | 'bad'): Tree {
  const dir = join(root, change ?? 'base');
  cpSync(FLEET, dir, { recursive: true });
  for (const part of ['clusters', 'live', 'catalog', 'apps'])
    if (change !== undefined && readdirSync(join(CHANGES, change)).includes(part))
      cpSync(join(CHANGES, change, part), join(dir, part), { recursive: true });
  return folderTree(dir);
}

describe('the example fleet', () => {
  it('has no drift', async () => {
    const result = await runOn(fleet());
    expect([result.verdict, found(result)]).toEqual(['pass', []]);
    expect(result.measurements.filter((each) => each.name === 'drift.objects.compared').map((each) => each.value)).toEqual([
      9, 9, 9,
    ]);
  });

  it('the good change is pending in every cluster and passes', async () => {
    const result = await runOn(fleet('good'), fleet());
    expect(result.verdict).toBe('pass');
    expect(new Set(result.findings.map((each) => each.ruleId))).toEqual(new Set(['drift-pending']));
    expect(result.findings.map((each) => each.message).join('\n')).toContain(
      'eu-west-cpu 100 % -> 90 %, eu-west-cpu-next 0 % -> 10 %',
    );
  });

  it('the bad change edits weights live: it fails at the line of the snapshot, with the line of the overlay', async () => {
    const result = await runOn(fleet('bad'), fleet());
    expect(result.verdict).toBe('fail');
    const blocking = result.findings.filter((each) => each.blocking);
    expect(blocking.map((each) => each.ruleId)).toEqual(['drift-traffic-changed']);
    expect(blocking[0]).toMatchObject({
      location: { file: 'live/eu-west.yaml' },
      related: [{ file: 'clusters/eu-west/routes.yaml' }],
      message: expect.stringContaining('kubectl-edit'),
    });
    const line = (path: string, at: number): string => readFileSync(join(root, 'bad', path), 'utf8').split('\n')[at - 1]!;
    expect(line('live/eu-west.yaml', blocking[0]!.location!.line!)).toContain('weight: 40');
    expect(line('clusters/eu-west/routes.yaml', blocking[0]!.related![0]!.line!)).toContain('weight: 0');
  });

  it('its snapshots can be stamped with another time', async () => {
    const dir = join(root, 'later');
    cpSync(FLEET, dir, { recursive: true });
    const now = '2027-03-01T10:00:00Z';
    for (const name of readdirSync(join(dir, 'live')))
      writeFileSync(join(dir, 'live', name), restampSnapshot(readFileSync(join(dir, 'live', name), 'utf8'), now));
    expect((await runOn(folderTree(dir), undefined, '2027-03-01T10:05:00Z')).verdict).toBe('pass');
    expect((await runOn(fleet(), undefined, '2027-03-01T10:05:00Z')).verdict).toBe('inconclusive');
  });
});
