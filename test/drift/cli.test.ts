import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT, runCli } from '../support/cli.ts';
import { type TestRepo, testRepo } from '../support/repo.ts';
import { CONFIG, fleetFiles, manifests, snapshot } from './support/gate.ts';

let repo: TestRepo;
const fresh = new Date().toISOString();
const live = (name: string, more = {}): string => snapshot(name, { capturedAt: fresh, ...more });

beforeAll(() => {
  repo = testRepo({
    ...fleetFiles(),
    ...Object.fromEntries(['us-east', 'eu-west', 'ap-south'].map((name) => [`live/${name}.yaml`, live(name)])),
  });
  const edited = live('eu-west', {
    edit: ({ HTTPRoute }: { [kind: string]: { spec: { rules: { backendRefs: { weight: number }[] }[] } } }) => {
      HTTPRoute!.spec.rules[0]!.backendRefs[0]!.weight = 10;
    },
  });
  repo.commit({
    'blank.yaml': '\n',
    'elsewhere/edited.yaml': edited,
    'elsewhere/undated.yaml': edited.replace(/^capturedAt:.*\n/m, ''),
  });
});
afterAll(() => repo[Symbol.dispose]());

const json = async (args: readonly string[], cwd = repo.dir) => {
  const ran = await runCli([...args, '--format', 'json', '--quiet'], { cwd });
  if (ran.stdout === '') throw new Error(ran.stderr);
  return {
    ...ran,
    report: JSON.parse(ran.stdout) as { verdict: string; findings: { ruleId: string; location: { file: string } }[] },
  };
};

describe('mixgate drift as a process', () => {
  it('passes with exit 0 when the clusters run what Git declares', async () => {
    const ran = await json(['drift']);
    expect([ran.code, ran.report.verdict, ran.report.findings]).toEqual([0, 'pass', []]);
  });

  it('fails with exit 1 on a snapshot from elsewhere, named as the user named it', async () => {
    const ran = await json(['drift', '--snapshot', 'eu-west=elsewhere/edited.yaml']);
    expect([ran.code, ran.report.verdict]).toEqual([1, 'fail']);
    expect(ran.report.findings[0]).toMatchObject({
      ruleId: 'drift-traffic-changed',
      location: { file: 'elsewhere/edited.yaml' },
    });
  });

  it('is inconclusive with exit 4 on an undated snapshot', async () => {
    const ran = await json(['drift', '--snapshot', 'eu-west=elsewhere/undated.yaml']);
    expect([ran.code, ran.report.verdict]).toEqual([4, 'inconclusive']);
  });

  it('takes what --base declared as pending', async () => {
    repo.git('checkout', '-q', '-b', 'move');
    repo.commit({ 'git/eu-west/all.yaml': manifests('eu-west').replace('weight: 90', 'weight: 30') });
    try {
      expect((await json(['drift'])).code).toBe(1);
      const ran = await json(['drift', '--base', 'main', '--head', 'move']);
      expect(ran.report.findings.map((each) => each.ruleId)).toContain('drift-pending');
      expect(ran.report.findings.map((each) => each.ruleId)).not.toContain('drift-traffic-changed');
    } finally {
      repo.git('checkout', '-q', 'main');
    }
  });

  it('takes what the snapshot says was applied as the state before', async () => {
    const applied = repo.git('rev-parse', 'main');
    repo.git('checkout', '-q', '-b', 'later');
    repo.commit({ 'git/eu-west/all.yaml': manifests('eu-west').replace('weight: 90', 'weight: 30') });
    try {
      const stamped = live('eu-west').replace('cluster: eu-west', `cluster: eu-west\nappliedRevision: main@sha1:${applied}`);
      repo.write({ 'elsewhere/applied.yaml': stamped });
      const ran = await json(['drift', '--snapshot', 'eu-west=elsewhere/applied.yaml']);
      expect(ran.report.findings.map((each) => each.ruleId)).toContain('drift-pending');
      expect(ran.report.findings.map((each) => each.ruleId)).not.toContain('drift-traffic-changed');
    } finally {
      repo.git('checkout', '-q', 'main');
    }
  });

  it.each<[string, readonly string[], RegExp]>([
    ['an unknown cluster', ['drift', '--snapshot', 'mars=x.yaml'], /cluster|x\.yaml does not exist/],
    ['a snapshot flag without a path', ['drift', '--snapshot', 'eu-west'], /Expected CLUSTER=PATH/],
    ['a snapshot that does not exist', ['drift', '--snapshot', 'eu-west=nope.yaml'], /nope\.yaml does not exist/],
    ['an unknown ref', ['drift', '--head', 'nope'], /the commit nope is not in this clone/],
    ['a hostile ref', ['drift', '--head', '--upload-pack=x'], /.+/],
    ['an unknown flag', ['drift', '--snapshto', 'a=b'], /did you mean `--snapshot`/],
    ['one side only', ['drift', 'compare', 'git/us-east'], /LEFT RIGHT/],
    ['a side that does not exist', ['drift', 'compare', 'git/us-east', 'nope'], /nope does not exist/],
    ['an empty file', ['drift', 'compare', 'git/us-east', 'blank.yaml'], /blank\.yaml is empty/],
    [
      'a CRD file that is none',
      ['drift', 'compare', 'git/us-east', 'git/us-east', '--crd', 'mixgate.yaml'],
      /no CustomResourceDefinition/,
    ],
  ])('%s: exit 2, one message, no stack trace', async (_name, args, message) => {
    const ran = await runCli(args, { cwd: repo.dir });
    expect(ran.code).toBe(2);
    expect(ran.stderr).toMatch(message);
    expect(ran.stderr).not.toMatch(/\n\s+at /);
    expect(ran.stdout).toBe('');
  });

  it.each<[string, string, RegExp]>([
    [
      'an unknown key',
      CONFIG.replace('clusters:', 'drift: {maxage: 1h}\nclusters:'),
      /unknown key `maxage`.*did you mean `maxAge`/s,
    ],
    [
      'a duration that is none',
      CONFIG.replace('clusters:', 'drift: {maxAge: soon}\nclusters:'),
      /mixgate\.yaml:2:\d+: .*maxAge is "soon"/,
    ],
    [
      'an aspect that is unknown',
      CONFIG.replace('clusters:', 'drift: {equal: [colour]}\nclusters:'),
      /drift\.equal\[0\] is "colour"/,
    ],
    [
      'an allowance without an owner',
      CONFIG.replace('clusters:', 'drift: {allow: [{path: /x, reason: r, expires: 2026-01-01}]}\nclusters:'),
      /lacks the key `owner`/,
    ],
    ['two clusters of one name', CONFIG.replace('name: eu-west', 'name: us-east'), /two clusters are named us-east/],
    ['no clusters', 'version: 1\n', /there are no clusters to compare/],
  ])('a configuration with %s: exit 2', async (_name, config, message) => {
    writeFileSync(join(repo.dir, 'other.yaml'), config);
    const ran = await runCli(['drift', '--config', 'other.yaml'], { cwd: repo.dir });
    expect([ran.code, message.test(ran.stderr.replaceAll('other.yaml', 'mixgate.yaml'))], ran.stderr).toEqual([2, true]);
  });

  it.each<[string, string | Uint8Array, RegExp]>([
    ['malformed', 'a: [1\nb: 2\n', /bad\.yaml:\d+:\d+: not valid YAML/],
    ['binary', Uint8Array.of(0, 1, 2, 3), /bad\.yaml: the file is binary/],
    ['not UTF-8', Uint8Array.of(0x61, 0x3a, 0xff, 0xfe), /not valid UTF-8/],
    [
      'a billion laughs',
      `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghij'
        .split('')
        .map(
          (c, i, all) =>
            `${c}: &${c} [${Array(9)
              .fill(`*${all[i - 1] ?? 'a'}`)
              .join(',')}]`,
        )
        .join('\n')}\n`,
      /bad\.yaml/,
    ],
    ['nested without end', `${'['.repeat(5000)}${']'.repeat(5000)}`, /bad\.yaml/],
    ['a list of numbers', '- 1\n- 2\n', /not a Kubernetes object/],
  ])('a snapshot that is %s: exit 2', async (_name, content, message) => {
    writeFileSync(join(repo.dir, 'bad.yaml'), content);
    const ran = await runCli(['drift', '--snapshot', 'eu-west=bad.yaml'], { cwd: repo.dir });
    expect([ran.code, ran.stdout], ran.stderr).toEqual([2, '']);
    expect(ran.stderr).toMatch(message);
    expect(ran.stderr).not.toMatch(/\n\s+at /);
  });
});

describe('mixgate drift compare as a process', () => {
  it('a snapshot against the overlay of the example fleet: equal', async () => {
    const ran = await json(['drift', 'compare', 'examples/fleet/clusters/us-east', 'examples/fleet/live/us-east.yaml'], ROOT);
    expect([ran.code, ran.report.verdict]).toEqual([0, 'pass']);
  });

  it('two files anywhere: exit 1 for another share of traffic', async () => {
    const ran = await json(
      ['drift', 'compare', join(repo.dir, 'live/eu-west.yaml'), join(repo.dir, 'elsewhere/edited.yaml')],
      ROOT,
    );
    expect([ran.code, ran.report.findings.map((each) => each.ruleId)]).toEqual([1, ['drift-traffic-changed']]);
  });

  it('nothing on either side is inconclusive', async () => {
    repo.write({ 'empty.yaml': '# nothing\n' });
    expect((await json(['drift', 'compare', 'empty.yaml', 'empty.yaml'])).report.verdict).toBe('inconclusive');
  });
});
