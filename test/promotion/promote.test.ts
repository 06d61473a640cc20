import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { writeEvidence } from '../../src/promotion/evidence.ts';
import { evaluatePromotionPolicy } from '../../src/promotion/policy.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { folderTree } from '../../src/workspace/tree.ts';
import { type Ran, ROOT, runCli } from '../support/cli.ts';
import { testRepo } from '../support/repo.ts';
import { config, NOW, type PromotionWorld, promotionWorld, reportFor } from './support.ts';

let world: PromotionWorld;
beforeEach(() => {
  world = promotionWorld();
});
afterEach(() => world[Symbol.dispose]());

const mixgate = (args: readonly string[], cwd = world.repo.dir, env: NodeJS.ProcessEnv = {}): Promise<Ran> =>
  runCli([...args, '--quiet'], { cwd, env: { MIXGATE_NOW: NOW, ...env } });
const promote = (cwd?: string, ...more: string[]): Promise<Ran> =>
  mixgate(['promote', '--to', 'production', '--evidence', world.evidence, '--format', 'json', ...more], cwd);
const rules = (ran: Ran): string[] =>
  (JSON.parse(ran.stdout) as { findings: { ruleId: string }[] }).findings.map((f) => f.ruleId);
const judge = (commit: string, gates: Parameters<typeof reportFor>[1] = { policy: 'pass', slo: 'warn' }): Promise<unknown> =>
  writeEvidence(reportFor(commit, gates), { dir: world.evidence, now: NOW });

async function candidate(version: string): Promise<string> {
  const commit = world.repo.commit({ 'apps/model.yaml': `version: ${version}\n` }, `model ${version}`);
  world.repo.git('push', '-q', 'origin', 'main');
  return commit;
}

describe('promote', () => {
  it('pins the environment by one commit with trailers, comments kept, the working copy untouched', async () => {
    const commit = await candidate('1.1.0');
    await judge(commit);
    world.repo.write({ 'uncommitted.txt': 'mine' });
    const before = world.repo.git('status', '--porcelain=v2', '--branch').replace(/# branch\.ab.*/, '');
    const ran = await promote();
    expect(ran.stderr).toBe('');
    expect(ran.code).toBe(0);
    expect(world.show('environments/production.yaml')).toBe(
      `# Which commit production runs.\nenvironment: production\nrevision: ${commit} # set by mixgate promote\n# Ask the on-call before touching this by hand.\n`,
    );
    const message = execFileSync('git', ['--git-dir', world.remote, 'log', '-1', '--format=%(trailers:only,unfold)', 'main'], {
      encoding: 'utf8',
    });
    expect(message).toMatch(
      new RegExp(
        `^Environment: production\\nPromoted-From: ${commit}\\nGate-Verdict: warn\\nGate-Evidence: sha256:[0-9a-f]{64}\\n$`.replace(
          '\\n$',
          '\\n+$',
        ),
      ),
    );
    expect(execFileSync('git', ['--git-dir', world.remote, 'rev-parse', 'main^'], { encoding: 'utf8' }).trim()).toBe(commit);
    expect(
      execFileSync('git', ['--git-dir', world.remote, 'diff', '--name-only', 'main^', 'main'], { encoding: 'utf8' }).trim(),
    ).toBe('environments/production.yaml');
    expect(world.repo.git('status', '--porcelain=v2', '--branch').replace(/# branch\.ab.*/, '')).toBe(before);
    expect(world.repo.git('worktree', 'list').split('\n')).toHaveLength(1);
  });
  it('says that there is nothing to do the second time', async () => {
    await judge(await candidate('1.1.0'));
    await promote();
    const tip = world.remoteTip();
    const ran = await promote();
    expect([ran.code, rules(ran), world.remoteTip()]).toEqual([0, ['promotion-nothing-to-do'], tip]);
  });
  it('pushes nothing in a dry run', async () => {
    await judge(await candidate('1.1.0'));
    const tip = world.remoteTip();
    const ran = await promote(undefined, '--dry-run');
    expect([ran.code, world.remoteTip()]).toEqual([0, tip]);
    expect(ran.stdout).toContain('dry run');
  });
  it.each([
    ['evidence of a required gate is missing', { policy: 'pass' } as const, 'promotion-evidence-missing'],
    ['a gate failed', { policy: 'fail', slo: 'pass' } as const, 'promotion-denied'],
    ['a gate is inconclusive', { policy: 'pass', slo: 'inconclusive' } as const, 'promotion-denied'],
  ])('refuses when %s', async (_title, gates, rule) => {
    await judge(await candidate('1.1.0'), gates);
    const tip = world.remoteTip();
    const ran = await promote();
    expect([ran.code, rules(ran), world.remoteTip()]).toEqual([1, [rule], tip]);
  });
  it('refuses evidence about another commit, and says so', async () => {
    await judge(await candidate('1.1.0'));
    await candidate('1.2.0');
    const ran = await promote();
    expect(ran.code).toBe(1);
    expect(rules(ran)).toEqual(['promotion-evidence-missing', 'promotion-evidence-missing', 'promotion-evidence-other-commit']);
  });
  it('refuses altered evidence', async () => {
    const commit = await candidate('1.1.0');
    await judge(commit);
    const written = await writeEvidence(reportFor(commit, { policy: 'fail' }), { dir: world.evidence, now: NOW });
    writeFileSync(written.path, '{"verdict":"pass"}');
    expect(rules(await promote())).toContain('promotion-evidence-altered');
  });
  it('refuses a commit that is on no branch of the remote', async () => {
    const commit = world.repo.commit({ 'apps/model.yaml': 'version: 1.1.0\n' });
    await judge(commit);
    expect(rules(await promote())).toEqual(['promotion-commit-not-on-remote']);
  });
  it('takes a commit of another branch of the remote', async () => {
    world.repo.git('checkout', '-q', '-b', 'candidate');
    const commit = world.repo.commit({ 'apps/model.yaml': 'version: 1.1.0\n' });
    world.repo.git('push', '-q', 'origin', 'candidate');
    await judge(commit);
    expect((await promote()).code).toBe(0);
  });
  it('reads policy and configuration from the remote branch, not from the candidate', async () => {
    world.repo.git('checkout', '-q', '-b', 'candidate');
    const commit = world.repo.commit({
      'mixgate.yaml': config({ requires: [] }),
      'policies/promotion/promotion.rego': 'package promotion\n\ndecision := {"allow": true, "reasons": []}\n',
    });
    world.repo.git('push', '-q', 'origin', 'candidate');
    await judge(commit, { policy: 'fail', slo: 'fail' });
    expect(rules(await promote())).toContain('promotion-denied');
  });
  it('refuses when the environment changed since this clone last saw it', async () => {
    const other = world.clone();
    const commit = await candidate('1.1.0');
    await judge(commit);
    await promote();
    execFileSync('git', ['-C', other, 'fetch', '-q', 'origin', `${commit}`]);
    const later = execFileSync('git', ['-C', other, 'commit-tree', `${commit}^{tree}`, '-p', commit, '-m', 'later'], {
      encoding: 'utf8',
      env: { ...process.env, GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@b', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@b' },
    }).trim();
    execFileSync('git', ['-C', other, 'push', '-q', 'origin', `${later}:refs/heads/later`]);
    await judge(later);
    const ran = await promote(other, '--commit', later);
    expect([ran.code, rules(ran)]).toEqual([
      1,
      ['promotion-evidence-other-commit', 'promotion-remote-moved'].sort((a) => (a === 'promotion-remote-moved' ? -1 : 1)),
    ]);
    // It has seen the environment now: the second attempt is an informed one.
    expect((await promote(other, '--commit', later)).code).toBe(0);
  });
  it('lets one of two racing promotions through and refuses or repeats the other without losing a commit', async () => {
    const first = await candidate('1.1.0');
    const second = await candidate('1.2.0');
    await judge(first);
    await judge(second);
    const [a, b] = [world.clone(), world.clone()];
    const start = world.remoteTip();
    const results = await Promise.all([promote(a, '--commit', first), promote(b, '--commit', second)]);
    const winners = results.filter((ran) => ran.code === 0);
    const pushed = Number(
      execFileSync('git', ['--git-dir', world.remote, 'rev-list', '--count', `${start}..main`], { encoding: 'utf8' }),
    );
    expect(winners.length).toBeGreaterThanOrEqual(1);
    expect(pushed).toBe(winners.length);
    for (const loser of results.filter((ran) => ran.code !== 0))
      expect([loser.code, rules(loser).includes('promotion-remote-moved')]).toEqual([1, true]);
    execFileSync('git', ['--git-dir', world.remote, 'fsck', '--strict'], { stdio: 'pipe' });
  }, 60_000);
});

describe('signed environments', () => {
  const pair = generateKeyPairSync('ed25519');
  const pem = pair.publicKey.export({ type: 'spki', format: 'pem' }) as string;
  it.each([
    ['accept evidence of a trusted key', pair, 0],
    ['refuse evidence of another key', generateKeyPairSync('ed25519'), 1],
    ['refuse unsigned evidence', undefined, 1],
  ])('%s', async (_title, signer, code) => {
    world.repo.commit({ 'mixgate.yaml': config({ signed: true, keys: ['keys/ci.pem'] }), 'keys/ci.pem': pem });
    const commit = await candidate('1.1.0');
    await writeEvidence(reportFor(commit, { policy: 'pass', slo: 'pass' }), {
      dir: world.evidence,
      now: NOW,
      ...(signer === undefined ? {} : { privateKey: signer.privateKey }),
    });
    const ran = await promote();
    expect(ran.code).toBe(code);
    if (code === 1) expect(rules(ran)).toEqual(['promotion-evidence-unsigned']);
  });
});

describe('rollback and history', () => {
  const rollback = (...more: string[]): Promise<Ran> => mixgate(['rollback', '--env', 'production', '--format', 'json', ...more]);
  async function promoted(version: string, verdict: 'pass' | 'warn' = 'pass'): Promise<string> {
    const commit = await candidate(version);
    await judge(commit, { policy: verdict, slo: 'pass' });
    const ran = await promote();
    if (ran.code !== 0) throw new Error(ran.stdout + ran.stderr);
    world.repo.git('pull', '-q', '--rebase', 'origin', 'main');
    return commit;
  }
  it('goes back by a forward commit, quarantines the bad revision, and promote respects it', async () => {
    const good = await promoted('1.1.0');
    const bad = await promoted('1.2.0');
    const badPromotion = world.remoteTip();
    // Somebody else's commit on top must survive.
    world.repo.commit({ 'apps/other.yaml': 'a: 1\n' });
    world.repo.git('push', '-q', 'origin', 'main');
    const tip = world.remoteTip();
    const ran = await rollback('--reason', 'German answers\nRollback-Of: forged');
    expect([ran.code, ran.stderr]).toEqual([0, '']);
    const log = execFileSync(
      'git',
      [
        '--git-dir',
        world.remote,
        'log',
        '-1',
        '--format=%P%n%(trailers:key=Rollback-Of,valueonly)%(trailers:key=Promoted-From,valueonly)',
        'main',
      ],
      { encoding: 'utf8' },
    );
    expect(log.trim().split('\n')).toEqual([tip, badPromotion, good]);
    const pin = world.show('environments/production.yaml');
    expect(pin).toContain(`revision: ${good} # set by mixgate promote`);
    expect(pin).toContain('# Ask the on-call before touching this by hand.');
    expect(pin).toContain(`- revision: ${bad}\n    reason: "German answers Rollback-Of: forged"`);
    expect(world.show('apps/other.yaml')).toBe('a: 1\n');
    const again = await promote(undefined, '--commit', bad);
    expect([again.code, rules(again)]).toEqual([1, expect.arrayContaining(['promotion-quarantined'])]);
    const overridden = await promote(undefined, '--commit', bad, '--override-quarantine', 'false alarm');
    expect(overridden.code).toBe(0);
    expect(world.show('environments/production.yaml')).not.toContain('quarantine');
    const history = await mixgate(['history', '--env', 'production', '--format', 'json']);
    const rows = (JSON.parse(history.stdout) as { gates: { tables: { rows: string[][] }[] }[] }).gates[0]!.tables[0]!.rows;
    expect(rows.map(([, action, revision]) => [action, revision])).toEqual([
      ['promote', bad.slice(0, 12)],
      ['rollback', good.slice(0, 12)],
      ['promote', bad.slice(0, 12)],
      ['promote', good.slice(0, 12)],
    ]);
  }, 120_000);
  it('refuses when there is no earlier good revision', async () => {
    await promoted('1.1.0');
    const tip = world.remoteTip();
    const ran = await rollback();
    expect([ran.code, rules(ran), world.remoteTip()]).toEqual([1, ['promotion-no-last-good'], tip]);
  });
  it('does not count a commit whose message only claims a promotion', async () => {
    await promoted('1.1.0');
    const forged = 'f'.repeat(40);
    const pin = world.show('environments/production.yaml');
    world.repo.commit(
      { 'environments/production.yaml': `${pin}# edited by hand\n` },
      `promote\n\nEnvironment: production\nPromoted-From: ${forged}\nGate-Verdict: pass\nGate-Evidence: sha256:${'0'.repeat(64)}`,
    );
    world.repo.git('push', '-q', 'origin', 'main');
    expect(rules(await rollback())).toEqual(['promotion-no-last-good']);
  });
  it.each([
    ['an environment that was never promoted', [], 'was never promoted'],
    ['a revision that was never promoted', ['--revision', 'HEAD'], 'was never promoted'],
  ])('explains %s', async (_title, more, message) => {
    const ran = await rollback(...more);
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain(message);
  });
});

describe('bad input', () => {
  it.each([
    ['an unknown environment', ['promote', '--to', 'prodution', '--evidence', 'e'], 2, 'did you mean `production`?'],
    ['no environment', ['promote', '--evidence', 'e'], 2, '--to'],
    ['no evidence folder', ['promote', '--to', 'production'], 2, '--evidence'],
    ['an evidence folder that is not there', ['promote', '--to', 'production', '--evidence', 'nowhere'], 2, 'cannot be read'],
    ['an unknown commit', ['promote', '--to', 'production', '--evidence', 'e', '--commit', 'nope'], 2, 'not in this clone'],
    [
      'a commit that is an option',
      ['promote', '--to', 'production', '--evidence', 'e', '--commit=--upload-pack=x'],
      2,
      'not a usable ref',
    ],
    ['an unknown environment to roll back', ['rollback', '--env', 'staging'], 2, 'one of production'],
    ['a blank reason', ['rollback', '--env', 'production', '--reason', ' '], 2, '--reason is blank'],
    ['history of an unknown environment', ['history', '--env', 'x'], 2, 'one of production'],
  ])('explains %s', async (_title, args, code, message) => {
    const ran = await mixgate(args);
    expect(ran.code).toBe(code);
    expect(ran.stdout).toBe('');
    expect(ran.stderr).toContain(message);
    expect(ran.stderr).not.toMatch(/^\s+at /m);
  });
  it.each([
    [
      'a pin of another environment',
      { 'environments/production.yaml': 'environment: staging\nrevision: null\n' },
      'environments/production.yaml:1:14: the file pins the environment staging',
    ],
    [
      'a pin with an abbreviated revision',
      { 'environments/production.yaml': 'environment: production\nrevision: abc123\n' },
      'environments/production.yaml:2',
    ],
    ['a pin that is not YAML', { 'environments/production.yaml': 'environment: [\n' }, 'not valid YAML'],
    ['a configuration without promotion', { 'mixgate.yaml': 'version: 1\n' }, 'no promotion section'],
    [
      'a policy that does not compile',
      { 'policies/promotion/promotion.rego': 'package promotion\n\ndecision := {"allow": nonsense}\n' },
      'does not evaluate',
    ],
    ['a policy without a decision', { 'policies/promotion/promotion.rego': 'package promotion\n' }, 'undefined'],
    [
      'a policy that answers yes as text',
      { 'policies/promotion/promotion.rego': 'package promotion\n\ndecision := {"allow": "true"}\n' },
      'not true or false',
    ],
    [
      'a policy folder without Rego',
      {
        'policies/promotion/promotion.rego': 'package promotion\n',
        'mixgate.yaml': config().replace('policies/promotion', 'apps'),
      },
      'holds no .rego file',
    ],
    ['a public key that is none', { 'mixgate.yaml': config({ keys: ['apps/model.yaml'] }) }, 'not a public key'],
  ])('explains %s', async (_title, files, message) => {
    const commit = world.repo.commit(files as Record<string, string>);
    world.repo.git('push', '-q', 'origin', 'main');
    await judge(commit);
    const ran = await promote();
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain(message);
    expect(world.remoteTip()).toBe(commit);
  });
  it('explains a remote that is away', async () => {
    await judge(await candidate('1.1.0'));
    world.repo.git('remote', 'set-url', 'origin', join(world.remote, 'gone'));
    const ran = await promote();
    expect([ran.code, ran.stderr]).toEqual([3, expect.stringContaining('cannot be fetched')]);
  });
  it('explains a clone without the remote', async () => {
    world.repo.git('remote', 'remove', 'origin');
    const ran = await promote();
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining('no remote origin')]);
  });
});

describe('the shipped promotion policy', () => {
  const shipped = (name: string) => readFileSync(join(ROOT, 'policies/promotion', name), 'utf8');
  const install = () =>
    world.repo.commit({
      'policies/promotion/promotion.rego': shipped('promotion.rego'),
      'policies/promotion/promotion_test.rego': shipped('promotion_test.rego'),
      'policies/promotion/data.json': shipped('data.json'),
    });
  it('does not take the lint of SLO files for a look at the error budget', async () => {
    install();
    const commit = await candidate('1.1.0');
    await writeEvidence(reportFor(commit, { policy: 'pass', slo: 'pass' }, 'mixgate check'), { dir: world.evidence, now: NOW });
    const ran = await promote();
    expect(ran.stdout).toContain('GATE_MISSING:slo');
    expect(ran.code).toBe(1);
  });
  it.each([
    ['allows what passed', { policy: 'pass', slo: 'warn' } as const, NOW, 0, []],
    ['refuses a gate that failed', { policy: 'fail', slo: 'pass' } as const, NOW, 1, ['promotion-denied']],
    [
      'refuses evidence of last month',
      { policy: 'pass', slo: 'pass' } as const,
      '2026-01-01T00:00:00.000Z',
      1,
      ['promotion-denied'],
    ],
  ])('%s', async (_title, gates, created, code, expected) => {
    install();
    const commit = await candidate('1.1.0');
    await writeEvidence(reportFor(commit, gates), { dir: world.evidence, now: created });
    const ran = await promote();
    expect([ran.stderr, ran.code, [...new Set(rules(ran))]]).toEqual(['', code, expected]);
  });
});

it('the promotion policy sees no token and no key of the environment', async () => {
  using repo = testRepo({
    'promotion/p.rego':
      'package promotion\n\nsecret := object.get(opa.runtime().env, "MIXGATE_SIGNING_KEY", "")\n\ndecision := {"allow": secret == "", "reasons": ["it sees the key"]}\n',
  });
  const input = { environment: { name: 'e', requires: [] }, commit: 'c', base: null, now: '2026-01-01T00:00:00Z', evidence: [] };
  vi.stubEnv('MIXGATE_SIGNING_KEY', '/keys/secret.pem');
  try {
    const opa = await resolveTool('opa', { install: false });
    expect(await evaluatePromotionPolicy(opa, folderTree(repo.dir), 'promotion', input)).toMatchObject({ allow: true });
  } finally {
    vi.unstubAllEnvs();
  }
});
