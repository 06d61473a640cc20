import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ran, ROOT, runCli } from '../support/cli.ts';
import { type TestRepo, testRepo } from '../support/repo.ts';

// An instant at which the snapshots of the example are an hour old.
const NOW = '2026-01-15T07:00:00Z';

interface JsonReport {
  readonly verdict: string;
  readonly gates: { readonly id: string; readonly verdict: string; readonly reason: string }[];
  readonly findings: {
    readonly ruleId: string;
    readonly blocking: boolean;
    readonly waived: unknown;
    readonly message: string;
    readonly location?: { readonly file: string; readonly line?: number };
    readonly evidence?: unknown;
  }[];
  readonly provenance: { readonly configFrom: string; readonly seed: number };
}

let repo: TestRepo;
const check = (...args: string[]): Promise<Ran> =>
  runCli(['check', '--format', 'json', '--quiet', ...args], { cwd: repo.dir, env: { MIXGATE_NOW: NOW } });
const report = (ran: Ran): JsonReport => JSON.parse(ran.stdout) as JsonReport;

/** A branch from main with the given edit committed. */
function branch(name: string, edit: () => void): void {
  repo.git('checkout', '-q', '-b', name, 'main');
  edit();
  repo.commit({}, name);
}
const read = (path: string): string => readFileSync(join(repo.dir, path), 'utf8');
const replace = (path: string, from: string | RegExp, to: string): void =>
  writeFileSync(join(repo.dir, path), read(path).replace(from, to));

beforeAll(() => {
  repo = testRepo();
  cpSync(join(ROOT, 'examples/fleet'), repo.dir, { recursive: true });
  repo.commit({}, 'fleet');
});
afterAll(() => repo[Symbol.dispose]());

describe('mixgate check on the example fleet', () => {
  it('passes an untouched branch', async () => {
    const ran = await check('--base', 'main', '--head', 'main');
    expect(report(ran).gates.map(({ id, verdict }) => `${id} ${verdict}`)).toEqual([
      'telemetry pass',
      'policy pass',
      'catalog pass',
      'drift pass',
      'slo pass',
    ]);
    expect(ran.code).toBe(0);
  });

  it('finds each of the four defects of the bad change, with file, line, numbers or counterexample, and a fix', async () => {
    branch('bad', () => cpSync(join(ROOT, 'examples/fleet-changes/bad'), repo.dir, { recursive: true }));
    const ran = await check('--base', 'main', '--head', 'bad');
    expect(ran.code).toBe(1);
    const { verdict, findings } = report(ran);
    expect(verdict).toBe('fail');
    const blocking = new Map(findings.filter((f) => f.blocking).map((f) => [f.ruleId, f]));
    for (const [rule, file, text] of [
      ['policy-invariant-violated', 'policies/routing/residency.rego', /restricted data/],
      ['telemetry-metric-renamed', 'telemetry/registry/gen_ai.yaml', /breaks SLO mixtral-first-token/],
      ['telemetry-metric-unit-changed', 'telemetry/registry/gen_ai.yaml', /from `s` to `ms`/],
      ['drift-traffic-changed', 'live/eu-west.yaml', /40 %/],
      ['catalog-memory-exceeded', 'clusters/eu-west/models.yaml', /96\.20 GiB .* 72\.00 GiB.*46,702,792,704 parameters/],
    ] as const) {
      const found = blocking.get(rule);
      expect(found, rule).toMatchObject({ location: { file, line: expect.any(Number) }, fix: expect.any(String) });
      expect(`${found?.message}`).toMatch(text);
    }
    const outside = findings.find(({ message }) => message.includes('restricted data with origin EU is served outside the EU'));
    expect(JSON.stringify(outside?.evidence)).toContain('acme-health');
  });

  it('gives the same bytes twice, apart from what is measured with a clock', async () => {
    const strip = (ran: Ran): string =>
      JSON.stringify(JSON.parse(ran.stdout), (_key, value: unknown) => (isVolatile(value) ? undefined : value));
    const args = ['--base', 'main', '--head', 'bad', '--only', 'policy,drift'];
    expect(strip(await check(...args))).toBe(strip(await check(...args)));
  });

  it('reads its configuration from base: a change cannot switch off the gate that would catch it', async () => {
    branch('weaken', () => {
      replace('mixgate.yaml', /^catalog:\n(?: {2}.*\n)+/m, '');
      replace('catalog/models/mixtral-micro-1.0.0.yaml', /^owner: .*\n/m, '');
    });
    const ran = await check('--base', 'main', '--head', 'weaken', '--only', 'catalog');
    expect(ran.code).toBe(1);
    expect(report(ran).provenance.configFrom).toMatch(/^base [0-9a-f]{12}$/);
  });

  it('refuses a change that deletes or breaks the configuration', async () => {
    branch('delete-config', () => repo.git('rm', '-q', 'mixgate.yaml'));
    const deleted = await check('--base', 'main', '--head', 'delete-config');
    expect([deleted.code, deleted.stderr]).toEqual([
      2,
      'mixgate: mixgate.yaml: the change deletes the gate configuration. Fix: keep the file; a gate is removed in a change of its own, by an owner.\n',
    ]);
    branch('break-config', () => replace('mixgate.yaml', 'version: 1', 'version: 1\npolicys: {}'));
    const broken = await check('--base', 'main', '--head', 'break-config');
    expect(broken.code).toBe(2);
    expect(broken.stderr).toMatch(
      /^mixgate: mixgate\.yaml:3:1: unknown key `policys`\. Expected one of .* Fix: did you mean `policy`\?\n$/,
    );
  });

  it('takes a waiver from base and not from the change', async () => {
    const waiver =
      'waivers:\n  - rule: catalog-metadata-incomplete\n    reason: being filled in\n    owner: sre\n    expires: 2026-06-30\n';
    branch('own-waiver', () => {
      replace('mixgate.yaml', 'version: 1', 'version: 1\nwaivers: waivers.yaml');
      repo.write({ 'waivers.yaml': waiver });
    });
    const ran = await check('--base', 'main', '--head', 'own-waiver', '--only', 'catalog');
    expect(report(ran).findings.filter((f) => f.waived !== false)).toEqual([]);
  });

  it('judges uncommitted edits when no head is given', async () => {
    repo.git('checkout', '-q', 'main');
    replace('slo/availability.yaml', 'target: 0.99', 'target: 1.5');
    try {
      const ran = await check('--base', 'main', '--only', 'slo');
      expect(ran.code).toBe(1);
      expect(report(ran).findings[0]).toMatchObject({ blocking: true, location: { file: 'slo/availability.yaml' } });
    } finally {
      repo.git('checkout', '-q', '--', '.');
    }
  });

  it('turns a broken file of one gate into a finding, and the other gates still report', async () => {
    branch('broken-file', () => {
      repo.write({ 'catalog/models/broken.yaml': 'id: [\n', 'telemetry/registry/binary.yaml': new Uint8Array([0, 1, 2]) });
    });
    const ran = await check('--base', 'main', '--head', 'broken-file', '--only', 'catalog,telemetry,slo');
    expect(ran.code).toBe(1);
    const { gates, findings } = report(ran);
    expect(gates.map((gate) => gate.verdict)).toEqual(['fail', 'fail', 'pass']);
    expect(findings.filter((f) => f.blocking).map((f) => f.location?.file)).toEqual(
      expect.arrayContaining(['catalog/models/broken.yaml', 'telemetry/registry/binary.yaml']),
    );
  });

  it.each([
    [['--base', 'nowhere'], /^mixgate: the commit nowhere is not in this clone\./],
    [['--base', '--output=x'], /--base/],
    [['--only', 'policies'], /there is no gate `policies`.*did you mean `policy`/],
    [['--only', 'canary'], /`canary` is not a pull-request gate/],
    [['--config', '../x.yaml'], /leads out of the repository/],
    [['--report', 'pdf=x'], /--report is "pdf=x"/],
  ])('%j is one clear error and exit 2', async (args, expected) => {
    const ran = await check(...args);
    expect([ran.code, ran.stdout]).toEqual([2, '']);
    expect(ran.stderr).toMatch(expected);
    expect(ran.stderr).not.toMatch(/\n {4}at /);
  });

  it('writes the report files that were asked for, and a failing one changes nothing', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'mixgate-reports-'));
    writeFileSync(join(dir, 'file'), '');
    const ran = await check(
      '--only',
      'slo',
      '--report',
      `html=${join(dir, 'r.html')}`,
      '--report',
      `sarif=${join(dir, 'file/below/r.sarif')}`,
    );
    expect(ran.code).toBe(0);
    expect(readFileSync(join(dir, 'r.html'), 'utf8')).toMatch(/^<!doctype html>/i);
    expect(ran.stderr).toMatch(/warning: the sarif report was not written to/);
  });
});

function isVolatile(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (value as { volatile?: boolean }).volatile === true;
}
