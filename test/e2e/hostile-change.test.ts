import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { snapshotEdits } from '../../src/commands/config-edits.ts';
import type { Config } from '../../src/config/load.ts';
import { cleanUp, runOnFakeRunner } from '../action/fake-runner.ts';
import { type Ran, runCli } from '../support/cli.ts';
import { type TestRepo, testRepo } from '../support/repo.ts';

// A pull request that tries to pass by other means than being good. Real Git, the CLI and the Action as processes.

const CONFIG = 'version: 1\ntelemetry:\n  registries:\n    - path: telemetry/registry\n      owned: true\n';
const EMPTY_GATE = 'version: 1\nslo:\n  files: [slo/*.yaml]\n';
const SLO = `apiVersion: openslo/v1
kind: SLO
metadata: { name: fine }
spec:
  service: x
  budgetingMethod: Occurrences
  objectives: [{ target: 0.99 }]
  timeWindow: [{ duration: 28d, isRolling: true }]
  indicator:
    metadata: { name: fine }
    spec:
      ratioMetric:
        counter: true
        good: { metricSource: { type: Prometheus, spec: { query: 'sum(http_requests_total{code!~"5.."})' } } }
        total: { metricSource: { type: Prometheus, spec: { query: sum(http_requests_total) } } }
`;
const metric = (unit: string): string => `groups:
  - id: metric.acme.wait
    type: metric
    metric_name: acme.wait
    brief: Time a request waits.
    instrument: histogram
    unit: ${unit}
    stability: stable
`;
const REGISTRY = 'telemetry/registry/wait.yaml';

interface Shown {
  readonly verdict: string;
  readonly findings: readonly { readonly ruleId: string; readonly level: string; readonly message: string }[];
  readonly provenance: { readonly configFrom: string };
}

let repo: TestRepo;
const check = (...args: string[]): Promise<Ran> => runCli(['check', '--format', 'json', '--quiet', ...args], { cwd: repo.dir });
const shown = (ran: Ran): Shown => JSON.parse(ran.stdout) as Shown;
const about = (ran: Ran, rule: string): string[] =>
  shown(ran).findings.flatMap((f) => (f.ruleId === rule ? [`${f.level}: ${f.message}`] : []));

beforeEach(() => {
  repo = testRepo({ 'README.md': 'before there was a gate\n' });
  repo.git('branch', 'ancient');
  repo.commit({ 'mixgate.yaml': CONFIG, [REGISTRY]: metric('s') }, 'gate');
  repo.git('checkout', '-q', '-b', 'evil');
});
afterEach(() => repo[Symbol.dispose]());

describe('which gate judges', () => {
  it('is that of the tip of the branch it goes to, wherever a change began', async () => {
    repo.git('checkout', '-q', '-B', 'evil', 'ancient');
    repo.commit({ 'mixgate.yaml': EMPTY_GATE, 'slo/fine.yaml': SLO, [REGISTRY]: metric('parsecs') }, 'a gate of my own');
    const ran = await check('--base', 'main', '--head', 'evil');
    expect(shown(ran).provenance.configFrom).toBe(`base ${repo.git('rev-parse', 'main').slice(0, 12)}`);
    expect(ran.code).toBe(1);
    expect(about(ran, 'gate-changed')).toEqual([expect.stringMatching(/^warning: The change edits `slo`, `telemetry` in/)]);
  });

  it('is the newest that the clone has, also for a pull request that was opened before', async () => {
    const old = repo.git('rev-parse', 'ancient');
    repo.git('update-ref', 'refs/remotes/origin/main', 'main');
    repo.git('checkout', '-q', '-B', 'evil', 'ancient');
    const head = repo.commit({ 'mixgate.yaml': EMPTY_GATE, 'slo/fine.yaml': SLO, [REGISTRY]: metric('parsecs') }, 'opened early');
    const payload = {
      number: 7,
      pull_request: { number: 7, base: { sha: old, ref: 'main' }, head: { sha: head, ref: 'evil', repo: { fork: true } } },
    };
    const result = await runOnFakeRunner({ workspace: repo.dir, event: 'pull_request', payload, sha: head });
    try {
      expect([result.code, result.outputs['verdict']]).toEqual([1, 'fail']);
      expect(result.stdout).toContain('telemetry');
    } finally {
      cleanUp(result);
    }
  });

  it('a change of the configuration or the waivers is reported, because no gate judges it', async () => {
    const waivers = 'waivers:\n  - { rule: telemetry-unit-invalid, reason: r, owner: o, expires: 2099-01-01 }\n';
    repo.commit({ 'mixgate.yaml': `${CONFIG}waivers: waivers.yaml\n`, 'waivers.yaml': waivers }, 'waive the next one');
    const ran = await check('--base', 'main', '--head', 'evil');
    expect(ran.code).toBe(0);
    expect(about(ran, 'gate-changed')).toEqual([
      expect.stringContaining('The change edits `waivers` in the configuration'),
      expect.stringContaining('The change edits the waivers;'),
    ]);
  });
});

describe('evidence that comes with a change', () => {
  const config = { version: 1, clusters: [{ snapshot: 'live/eu.yaml' }, { snapshot: 'live/us' }, {}] } as unknown as Config;
  it.each<[string, readonly string[], readonly string[]]>([
    ['a snapshot beside an overlay is reported', ['clusters/eu/a.yaml', 'live/eu.yaml'], ['live/eu.yaml']],
    ['one in a folder too', ['live/us/pods.yaml', 'README.md'], ['live/us/pods.yaml']],
    ['snapshots alone are how they come', ['live/eu.yaml', 'live/us/pods.yaml'], []],
    ['no snapshot', ['clusters/eu/a.yaml', 'live/eu.yaml.bak'], []],
  ])('%s', (_name, changed, reported) => {
    expect(snapshotEdits(config, changed).map((f) => f.location?.file)).toEqual(reported);
  });
});

describe('what no gate reads', () => {
  it('a link that the change puts where a gate looks blocks; elsewhere, or in base already, it does not', async () => {
    mkdirSync(join(repo.dir, 'docs'));
    writeFileSync(join(repo.dir, 'docs/hidden.yaml'), metric('parsecs'));
    symlinkSync('../docs/hidden.yaml', join(repo.dir, 'telemetry/link.yaml'));
    repo.commit({}, 'a link beside');
    const beside = await check('--base', 'main', '--head', 'evil');
    expect([beside.code, about(beside, 'input-invalid')]).toEqual([0, []]);
    symlinkSync('../../docs/hidden.yaml', join(repo.dir, 'telemetry/registry/hidden.yaml'));
    repo.commit({}, 'a link inside');
    const inside = await check('--base', 'main', '--head', 'evil');
    expect([inside.code, about(inside, 'input-invalid')]).toEqual([
      1,
      [
        expect.stringMatching(
          /^error: The path telemetry\/registry\/hidden\.yaml is a symbolic link, which mixgate does not follow/,
        ),
      ],
    ]);
    repo.git('branch', '-f', 'main', 'evil');
    repo.commit({ 'README.md': 'more\n' }, 'next');
    const later = await check('--base', 'main', '--head', 'evil');
    expect([later.code, about(later, 'input-invalid')]).toEqual([0, [expect.stringMatching(/^warning: /)]]);
  });

  it('a folder that becomes a link, or a submodule, blocks', async () => {
    repo.git('rm', '-rq', 'telemetry');
    repo.git('update-index', '--add', '--cacheinfo', `160000,${repo.git('rev-parse', 'main')},telemetry`);
    repo.git('commit', '-qm', 'submodule');
    const ran = await check('--base', 'main', '--head', 'evil');
    expect(ran.code).toBe(1);
    expect(about(ran, 'input-invalid')).toContainEqual(expect.stringContaining('The path telemetry is a submodule'));
  });

  it.each(['line\nbreak.yaml', 'back\\slash.yaml', '-n.yaml', 'quo"te\t.yaml'])(
    'the file %j is read as any other',
    async (name) => {
      repo.commit({ [`telemetry/registry/${name}`]: metric('parsecs').replaceAll('wait', 'other') }, 'odd name');
      const ran = await check('--base', 'main', '--head', 'evil');
      expect(shown(ran).findings.map((f) => f.ruleId)).toContain('telemetry-unit-invalid');
    },
  );

  it('a tree with a path that leads out of a checkout is refused before anything is written', async () => {
    const tree = (entries: Buffer): string =>
      execFileSync('git', ['hash-object', '-t', 'tree', '-w', '--literally', '--stdin'], { cwd: repo.dir, input: entries })
        .toString()
        .trim();
    const entry = (mode: string, name: string, id: string): Buffer =>
      Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(id, 'hex')]);
    const inner = tree(entry('100644', 'pwned.yaml', repo.git('rev-parse', `main:${REGISTRY}`)));
    const root = tree(
      Buffer.concat([
        entry('40000', '..', inner),
        entry('100644', 'mixgate.yaml', repo.git('rev-parse', 'main:mixgate.yaml')),
        entry('40000', 'telemetry', repo.git('rev-parse', 'main:telemetry')),
      ]),
    );
    const head = repo.git('commit-tree', root, '-p', 'main', '-m', 'dots');
    const ran = await check('--base', 'main', '--head', head);
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining('the commit holds the path "../pwned.yaml"')]);
  });
});

describe('a folder of the repository that is a repository itself', () => {
  /** What a pull request can commit: the files of a bare repository, whose references and settings are the attacker's. */
  function embed(folder: string): { readonly base: string; readonly head: string; readonly marker: string } {
    const marker = join(repo.dir, '..', `${repo.dir.split('/').at(-1)}-ran`);
    const [base, head] = [repo.git('rev-parse', 'main'), repo.git('rev-parse', 'evil')];
    const dir = join(repo.dir, folder);
    cpSync(join(repo.dir, '.git/objects'), join(dir, 'objects'), { recursive: true });
    mkdirSync(join(dir, 'refs/replace'), { recursive: true });
    // Base as head has it, so that nothing has changed.
    const twin = repo.git('commit-tree', `${head}^{tree}`, '-m', 'twin');
    cpSync(join(repo.dir, '.git/objects'), join(dir, 'objects'), { recursive: true });
    writeFileSync(join(dir, 'refs/replace', base), `${twin}\n`);
    writeFileSync(join(dir, 'HEAD'), 'ref: refs/heads/main\n');
    mkdirSync(join(dir, 'refs/heads'), { recursive: true });
    writeFileSync(join(dir, 'refs/heads/main'), `${head}\n`);
    writeFileSync(
      join(dir, 'config'),
      `[core]\n\tbare = false\n\tworktree = ${dir}\n[filter "x"]\n\tclean = sh -c "touch ${marker}; cat"\n`,
    );
    writeFileSync(join(dir, '.gitattributes'), '* filter=x\n');
    return { base, head, marker };
  }

  it('is refused, by the Action and the command line, and its settings run nothing', async () => {
    repo.git('checkout', '-q', 'main');
    repo.git('mv', 'mixgate.yaml', 'telemetry');
    mkdirSync(join(repo.dir, 'fleet'));
    repo.git('rm', '-rq', '--cached', '.');
    cpSync(join(repo.dir, 'telemetry'), join(repo.dir, 'fleet/telemetry'), { recursive: true });
    cpSync(join(repo.dir, 'telemetry/mixgate.yaml'), join(repo.dir, 'fleet/mixgate.yaml'));
    repo.commit({}, 'fleet in a folder');
    repo.git('checkout', '-q', '-B', 'evil');
    repo.commit({ [`fleet/${REGISTRY}`]: metric('parsecs') }, 'break it');
    const { base, head, marker } = embed('fleet');
    const result = await runOnFakeRunner({
      workspace: repo.dir,
      event: 'pull_request',
      payload: {
        number: 7,
        pull_request: { number: 7, base: { sha: base, ref: 'main' }, head: { sha: head, ref: 'evil', repo: { fork: true } } },
      },
      sha: head,
      inputs: { 'working-directory': 'fleet' },
    });
    try {
      expect([result.code, result.outputs['verdict']]).toEqual([2, 'error']);
      expect(result.stdout).toContain('takes for a repository of its own');
    } finally {
      cleanUp(result);
    }
    const cli = await runCli(['telemetry', 'check', '-C', 'fleet', 'telemetry/registry'], { cwd: repo.dir });
    const drift = await runCli(['drift', '-C', 'fleet'], { cwd: repo.dir });
    expect(`${cli.stdout}${cli.stderr}${drift.stdout}${drift.stderr}`).not.toContain('internal error');
    expect(existsSync(marker)).toBe(false);
  });
});
