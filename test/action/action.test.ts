import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { problemsOf } from '../../src/config/schema.ts';
import { ROOT } from '../support/cli.ts';
import { testRepo } from '../support/repo.ts';
import {
  actionFile,
  cleanUp,
  entry,
  type FakeGitHub,
  fakeGitHub,
  type RunnerOptions,
  type RunnerResult,
  runOnFakeRunner,
} from './fake-runner.ts';
import { type Change, pullRequestPayload, telemetryChange } from './fleet.ts';

const results: RunnerResult[] = [];
afterEach(() => {
  for (const result of results.splice(0)) cleanUp(result);
});

async function run(change: Change, more: Partial<RunnerOptions> = {}, github?: FakeGitHub): Promise<RunnerResult> {
  const result = await runOnFakeRunner({
    workspace: change.repo.dir,
    event: 'pull_request',
    payload: pullRequestPayload(change),
    sha: change.head,
    ...(github === undefined ? { inputs: { comment: 'never', ...more.inputs } } : { api: github.url }),
    ...Object.fromEntries(Object.entries(more).filter(([name]) => name !== 'inputs' || github !== undefined)),
  });
  results.push(result);
  return result;
}

function methods(github: FakeGitHub): string[] {
  return github.calls.splice(0).map((call) => call.method);
}

function annotations(result: RunnerResult, level: string): string[] {
  return result.stdout.split('\n').filter((line) => line.startsWith(`::${level} `));
}

describe('the action file', () => {
  test('runs on the Node major in use, from a file that exists or is built there', () => {
    const { runs } = actionFile();
    expect(runs.using).toBe(`node${process.versions.node.split('.')[0]}`);
    expect(runs.main).toBe('dist/action.js');
    expect(existsSync(entry())).toBe(true);
  });
});

describe('a pull request', () => {
  test('a breaking change fails: exit 1, outputs, files, summary, annotation with a repository path, comment', async () => {
    await using github = await fakeGitHub();
    using change = telemetryChange();
    const result = await run(change, {}, github);
    expect(result.code).toBe(1);
    expect(result.outputs).toMatchObject({ verdict: 'fail', 'failed-count': '1', 'warned-count': '1' });
    const report = JSON.parse(readFileSync(result.outputs['report-path']!, 'utf8')) as { verdict: string };
    expect(report.verdict).toBe('fail');
    expect(problemsOf('report', { value: report, locate: () => ({ file: 'report.json' }) })).toEqual([]);
    const sarif = JSON.parse(readFileSync(result.outputs['sarif-path']!, 'utf8'));
    expect(sarif.runs[0].results[0].locations[0].physicalLocation.artifactLocation.uri).toBe('telemetry/registry/queue.yaml');
    expect(readFileSync(result.outputs['html-path']!, 'utf8')).toContain('This change is blocked');
    expect(readFileSync(result.outputs['summary-path']!, 'utf8').trim()).toBe(result.summary.trim());
    expect(annotations(result, 'error')[0]).toContain('file=telemetry/registry/queue.yaml,line=7,endLine=7,col=11');
    expect(github.comments).toHaveLength(1);
    expect(github.comments[0]!.body).toMatch(/^<!-- mixgate gate:check -->\n### ❌ mixgate: fail, 1 blocking/);
    expect(result.stderr).toBe('');
  });

  test('the token is masked before anything else is printed, and nowhere shown', async () => {
    using change = telemetryChange();
    const result = await run(change, { inputs: { token: 'ghp_verysecret' } });
    expect(result.stdout.startsWith('::add-mask::ghp_verysecret\n')).toBe(true);
    expect(result.stdout.slice(30) + result.summary).not.toContain('ghp_verysecret');
  });

  test('paths are relative to the Git repository when the fleet is in a folder of it', async () => {
    using change = telemetryChange({ folder: 'deploy/fleet' });
    const result = await run(change, { inputs: { 'working-directory': 'deploy/fleet' } });
    expect(result.outputs['verdict']).toBe('fail');
    expect(annotations(result, 'error')[0]).toContain('file=deploy/fleet/telemetry/registry/queue.yaml,');
    const sarif = JSON.parse(readFileSync(result.outputs['sarif-path']!, 'utf8'));
    expect(sarif.runs[0].results[0].locations[0].physicalLocation.artifactLocation.uri).toBe(
      'deploy/fleet/telemetry/registry/queue.yaml',
    );
  });

  test('no breaking change passes: exit 0, no comment', async () => {
    await using github = await fakeGitHub();
    using change = telemetryChange({ broken: 0 });
    const result = await run(change, {}, github);
    expect([result.code, result.outputs['verdict']]).toEqual([0, 'pass']);
    expect(methods(github)).toEqual(['GET']);
  });

  test('the gate is configured from base: a change that switches it off is still judged', async () => {
    using change = telemetryChange();
    change.repo.commit({ 'mixgate.yaml': 'version: 1\nslo:\n  files: [slo/none.yaml]\n' }, 'weaken');
    const head = change.repo.git('rev-parse', 'HEAD');
    const result = await run(change, { payload: pullRequestPayload({ ...change, head }), sha: head });
    expect([result.code, result.outputs['verdict']]).toEqual([1, 'fail']);
  });

  test('mode: warn reports the failure and exits 0', async () => {
    using change = telemetryChange();
    const result = await run(change, { inputs: { mode: 'warn' } });
    expect([result.code, result.outputs['verdict']]).toEqual([0, 'fail']);
    expect(result.stdout).toContain('does not block because of mode: warn');
  });
});

describe('the comment', () => {
  test('two runs: GET and POST, then GET and PATCH when the report differs, GET alone when it does not', async () => {
    await using github = await fakeGitHub();
    using change = telemetryChange({ broken: 2 });
    await run(change, {}, github);
    expect(methods(github)).toEqual(['GET', 'POST']);
    await run(change, { env: { GITHUB_RUN_ID: '4712' } }, github);
    expect(methods(github)).toEqual(['GET']);
    using repaired = telemetryChange({ broken: 0 });
    await run(repaired, {}, github);
    expect(methods(github)).toEqual(['GET', 'PATCH']);
    expect(github.comments).toHaveLength(1);
    expect(github.comments[0]!.body).toContain('mixgate: pass, no findings (resolved)');
  });

  test('is found on a later page, and never in a comment of somebody else that copies the marker', async () => {
    await using github = await fakeGitHub();
    using change = telemetryChange();
    const marker = '<!-- mixgate gate:check -->\n### ✅ mixgate: pass';
    github.comments.push({ id: 1, body: marker, user: { login: 'mallory', type: 'User' }, html_url: '' });
    for (let id = 2; id < 130; id++)
      github.comments.push({ id, body: `comment ${id}`, user: { login: 'u', type: 'User' }, html_url: '' });
    github.comments.push({
      id: 500,
      body: '<!-- mixgate gate:check -->\nold',
      user: { login: 'github-actions[bot]', type: 'Bot' },
      html_url: '',
    });
    await run(change, {}, github);
    expect(github.calls.map((call) => `${call.method} ${call.path.split('/').slice(4).join('/')}`)).toEqual([
      'GET issues/7/comments',
      'GET issues/7/comments',
      'PATCH issues/comments/500',
    ]);
    expect(github.comments[0]!.body).toBe(marker);
  });

  test('runs with different tags keep different comments', async () => {
    await using github = await fakeGitHub();
    using change = telemetryChange();
    await run(change, { inputs: { 'comment-tag': 'us-east' } }, github);
    await run(change, { inputs: { 'comment-tag': 'eu-west' } }, github);
    expect(github.comments.map((comment) => comment.body.split('\n')[0])).toEqual([
      '<!-- mixgate gate:check us-east -->',
      '<!-- mixgate gate:check eu-west -->',
    ]);
  });

  test('403 on POST: same verdict and exit code, a warning that names the permission', async () => {
    await using github = await fakeGitHub();
    using change = telemetryChange();
    github.failures.push({ method: 'POST', status: 403, message: 'Resource not accessible by integration' });
    const result = await run(change, {}, github);
    expect([result.code, result.outputs['verdict']]).toEqual([1, 'fail']);
    expect(result.stdout).toMatch(
      /^::warning::the comment could not be written: Resource not accessible by integration.*pull-requests: write/m,
    );
    expect(result.summary).toContain('mixgate: fail');
  });

  test('an answer 502 is tried again after a new search, so that no second comment appears', async () => {
    await using github = await fakeGitHub();
    using change = telemetryChange();
    github.failures.push({ method: 'POST', status: 502, message: 'Bad Gateway' });
    await run(change, {}, github);
    expect(methods(github)).toEqual(['GET', 'POST', 'GET', 'POST']);
    expect(github.comments).toHaveLength(1);
  });

  test('an unreachable API is a warning, not a verdict', async () => {
    using change = telemetryChange({ broken: 0 });
    const result = await runOnFakeRunner({
      workspace: change.repo.dir,
      event: 'pull_request',
      payload: pullRequestPayload(change),
      sha: change.head,
      api: 'http://127.0.0.1:9',
    });
    results.push(result);
    expect([result.code, result.outputs['verdict']]).toEqual([0, 'pass']);
    expect(result.stdout).toMatch(/^::warning::the comment could not be written/m);
  });

  test('a pull request from a fork gets summary and annotations, and no request is made', async () => {
    await using github = await fakeGitHub();
    using change = telemetryChange();
    const result = await run(change, { payload: pullRequestPayload(change, { fork: true }) }, github);
    expect(result.code).toBe(1);
    expect(methods(github)).toEqual([]);
    expect(result.stdout).toContain('from a fork can only read');
    expect(annotations(result, 'error')).toHaveLength(1);
  });

  test('stays under 60,000 characters whatever is found, and says what is left out', async () => {
    await using github = await fakeGitHub();
    using change = telemetryChange({ metrics: 400, broken: 400 });
    const result = await run(change, {}, github);
    expect(result.code).toBe(1);
    expect(github.comments[0]!.body.length).toBeLessThanOrEqual(60_000);
    expect(github.comments[0]!.body).toMatch(/\d+ findings more in the job summary/);
  });
});

describe('limits of the runner', () => {
  test('a summary above 1 MiB is cut between parts, not lost', async () => {
    using change = telemetryChange({ metrics: 3000, broken: 3000 });
    const result = await run(change);
    expect(result.outputs['failed-count']).toBe('3000');
    expect(Buffer.byteLength(result.summary)).toBeLessThanOrEqual(1024 * 1024);
    expect(Buffer.byteLength(result.summary)).toBeGreaterThan(900_000);
    expect(result.summary).toMatch(/Left out for length: \d+ findings/);
  });

  test('40 findings become 10 annotations, the last says how many more', async () => {
    using change = telemetryChange({ metrics: 40, broken: 40 });
    const result = await run(change);
    expect(annotations(result, 'error')).toHaveLength(10);
    expect(annotations(result, 'error')[9]).toContain('and 31 more, see the job summary');
  });

  test('without GITHUB_STEP_SUMMARY: a warning, the same verdict, the summary as a file', async () => {
    using change = telemetryChange();
    const result = await run(change, { env: { GITHUB_STEP_SUMMARY: undefined } });
    expect([result.code, result.outputs['verdict']]).toEqual([1, 'fail']);
    expect(result.stdout).toMatch(/^::warning::the job summary could not be written/m);
    expect(readFileSync(result.outputs['summary-path']!, 'utf8')).toContain('mixgate: fail');
  });

  test('a report folder behind a symbolic link of the pull request is refused with a warning', async () => {
    using change = telemetryChange();
    const outside = mkdtempSync(join(tmpdir(), 'mixgate-outside-'));
    symlinkSync(outside, join(change.repo.dir, 'reports'));
    const result = await run(change, { inputs: { 'report-dir': 'reports' } });
    expect([result.code, result.outputs['verdict'], result.outputs['report-path']]).toEqual([1, 'fail', undefined]);
    expect(result.stdout).toContain('reached through a symbolic link');
    expect(readdirSync(outside)).toEqual([]);
    rmSync(outside, { recursive: true });
  });
});

describe('events', () => {
  test("merge_group: the base is the group's, no pull request, no comment", async () => {
    await using github = await fakeGitHub();
    using change = telemetryChange();
    const payload = { merge_group: { base_sha: change.base, head_sha: change.head, base_ref: 'refs/heads/main' } };
    const result = await run(change, { event: 'merge_group', payload, env: { GITHUB_BASE_REF: '' } }, github);
    expect([result.code, result.outputs['verdict']]).toEqual([1, 'fail']);
    expect(methods(github)).toEqual([]);
  });

  test('push: compares with the commit before; the first push of a branch has nothing to compare with', async () => {
    using change = telemetryChange();
    const later = await run(change, { event: 'push', payload: { before: change.base, after: change.head } });
    expect(later.outputs['verdict']).toBe('fail');
    const first = await run(change, { event: 'push', payload: { before: '0'.repeat(40), after: change.head } });
    expect(first.outputs['failed-count']).toBe('0');
  });

  test.each(['schedule', 'workflow_dispatch'])('%s: judges the commit as it is', async (event) => {
    using change = telemetryChange();
    const result = await run(change, { event, payload: {} });
    expect([result.code, result.outputs['failed-count']]).toEqual([0, '0']);
  });

  test('an unknown event is an error that names the known ones, never a pass', async () => {
    using change = telemetryChange();
    const result = await run(change, { event: 'release', payload: {} });
    expect([result.code, result.outputs['verdict']]).toEqual([2, 'error']);
    expect(result.stdout).toContain('pull_request, merge_group, push, schedule or workflow_dispatch');
    expect(result.summary).toContain('mixgate: error');
  });

  test.each([
    ['not JSON', '{"pull_request": '],
    ['a list', []],
    ['without the pull request', {}],
    ['with a pull request that is text', { pull_request: 'x' }],
  ])('an event file that is %s: exit 2, verdict error, no stack trace', async (_, payload) => {
    using change = telemetryChange();
    const result = await run(change, { payload });
    expect([result.code, result.outputs['verdict']]).toEqual([2, 'error']);
    expect(result.stdout + result.stderr).not.toMatch(/\n\s+at /);
  });

  test('a shallow clone is explained', async () => {
    using change = telemetryChange();
    const clone = `${change.repo.dir}-shallow`;
    change.repo.git('clone', '-q', '--depth', '1', '--branch', 'change', `file://${change.repo.dir}`, clone);
    const result = await run(change, { workspace: clone });
    expect([result.code, result.outputs['verdict']]).toEqual([2, 'error']);
    expect(result.stdout).toContain('fetch-depth: 0');
  });

  test('a forced push is explained, and judged against the input `base`', async () => {
    using change = telemetryChange();
    const push = { event: 'push', payload: { before: 'c0ffee'.padEnd(40, '0'), after: change.head }, sha: change.head };
    const result = await run(change, push);
    expect([result.code, result.outputs['verdict']]).toEqual([2, 'error']);
    expect(result.stdout).toContain('is not in this clone: the branch was rewritten (a forced push).');
    expect(result.stdout).toContain('set the input `base`');
    expect((await run(change, { ...push, inputs: { base: 'main' } })).outputs['verdict']).toBe('fail');
  });

  test('a change that moves what the configuration of base names is told how to do it', async () => {
    using repo = testRepo({
      'mixgate.yaml': 'version: 1\nslo:\n  files: [slo/a.yaml]\n',
      'slo/a.yaml': 'apiVersion: openslo/v1\nkind: SLO\n',
    });
    const base = repo.git('rev-parse', 'HEAD');
    repo.git('mv', 'slo', 'objectives');
    const head = repo.commit({ 'mixgate.yaml': 'version: 1\nslo:\n  files: [objectives/a.yaml]\n' }, 'move');
    const result = await runOnFakeRunner({
      workspace: repo.dir,
      event: 'push',
      payload: { before: base, after: head },
      sha: head,
    });
    results.push(result);
    expect([result.code, result.outputs['verdict']]).toEqual([1, 'fail']);
    expect(result.stdout.replaceAll(/\s+/g, ' ')).toContain('first merge one that names the old and the new place');
  });

  test('a configuration in a folder is found out from the root', async () => {
    using change = telemetryChange({ folder: 'fleets/chat' });
    const result = await run(change, { inputs: { 'working-directory': '.' } });
    expect([result.code, result.outputs['verdict']]).toEqual([2, 'error']);
    expect(result.stdout.replaceAll(/\s+/g, ' ')).toContain('`working-directory`): "fleets/chat"');
    const below = await run(change, { inputs: { 'working-directory': 'fleets/chat/telemetry/registry' } });
    expect(below.stdout.replaceAll(/\s+/g, ' ')).toContain('run in the folder that has it, with -C "../.."');
  });

  describe('pull_request_target', () => {
    test('with the pull request checked out is refused', async () => {
      using change = telemetryChange();
      const result = await run(change, { event: 'pull_request_target', sha: change.base });
      expect([result.code, result.outputs['verdict']]).toEqual([2, 'error']);
      expect(result.stdout).toContain('it holds files of the pull request');
    });

    test('with the base checked out judges the head from Git objects', async () => {
      using change = telemetryChange();
      change.repo.git('checkout', '-q', 'main');
      const result = await run(change, { event: 'pull_request_target', sha: change.base });
      expect([result.code, result.outputs['verdict']]).toEqual([1, 'fail']);
    });

    test('goes on when the workflow says so', async () => {
      using change = telemetryChange();
      const result = await run(change, {
        event: 'pull_request_target',
        sha: change.base,
        inputs: { 'allow-untrusted-checkout': 'true' },
      });
      expect([result.code, result.outputs['verdict']]).toEqual([1, 'fail']);
    });
  });
});

describe('bad inputs', () => {
  test.each<[string, Record<string, string>, string]>([
    ['a mode that does not exist', { mode: 'wran' }, 'did you mean `warn`?'],
    ['an empty-looking boolean', { 'allow-untrusted-checkout': 'no' }, 'Expected true or false'],
    ['a gate that does not exist', { only: 'telemetri' }, 'did you mean `telemetry`?'],
    ['a gate of another command', { only: 'canary' }, 'is not a pull-request gate'],
    ['a comment mode that does not exist', { comment: 'sometimes' }, 'never, on-failure, changes, always'],
    ['a tag that ends an HTML comment', { 'comment-tag': '--> hello' }, 'letters, digits'],
    ['a folder outside the workspace', { 'working-directory': '../..' }, 'a folder inside the workspace'],
    ['a folder that does not exist', { 'working-directory': 'nowhere' }, 'a folder inside the workspace'],
    ['a configuration that does not exist', { config: 'other.yaml' }, 'there is no configuration'],
    ['a base that does not exist', { base: 'no-such-branch' }, 'no-such-branch is not in this clone'],
    ['a base that is an option', { base: '--upload-pack=x' }, 'is not a usable ref'],
  ])('%s: exit 2, verdict error, a finding that says what to do', async (_, inputs, message) => {
    using change = telemetryChange();
    const result = await run(change, { inputs });
    expect([result.code, result.outputs['verdict']]).toEqual([2, 'error']);
    expect(`${result.stdout.replace(/\s+/g, ' ')}`).toContain(message);
  });

  test('several at once are all named', async () => {
    using change = telemetryChange();
    const result = await run(change, { inputs: { mode: 'x', 'on-error': 'y', 'on-inconclusive': 'z' } });
    expect(annotations(result, 'error')).toHaveLength(3);
  });

  test('a broken configuration is annotated at its line', async () => {
    using change = telemetryChange();
    change.repo.commit({ 'mixgate.yaml': 'version: 1\ntelemetrie:\n  registries: []\n' }, 'break configuration');
    const head = change.repo.git('rev-parse', 'HEAD');
    const result = await run(change, { payload: pullRequestPayload({ ...change, head }), sha: head });
    expect(result.code).toBe(2);
    expect(annotations(result, 'error')[0]).toContain('file=mixgate.yaml,line=2');
    expect(annotations(result, 'error')[0]).toContain('did you mean `telemetry`?');
  });
});

describe('signals', () => {
  test('SIGTERM: verdict error in the outputs, non-zero exit, no comment', async () => {
    await using github = await fakeGitHub();
    using change = telemetryChange({ metrics: 3000, broken: 3000 });
    let sent = false;
    const result = await run(
      change,
      {
        started: (kill, output) => {
          if (sent || !output.includes('telemetry: checking')) return;
          sent = true;
          kill('SIGTERM');
        },
      },
      github,
    );
    expect(sent).toBe(true);
    expect(result.code).toBe(3);
    expect(result.outputs['verdict']).toBe('error');
    expect(methods(github)).toEqual([]);
  });
});

describe('hostile text', () => {
  test('names from a pull request start no workflow command and no mention', async () => {
    await using github = await fakeGitHub();
    using change = telemetryChange();
    const head = change.repo.commit({
      'telemetry/registry/queue.yaml':
        'groups:\n  - id: metric.x\n    type: metric\n    metric_name: "acme.x\\n::set-output name=verdict::pass"\n    brief: "@everyone <!-- -->"\n    instrument: "##[error]"\n    unit: "::warning::x"\n',
    });
    const result = await run(change, { payload: pullRequestPayload({ ...change, head }), sha: head }, github);
    expect(result.outputs['verdict']).toBe('fail');
    const commands = result.stdout.split('\n').filter((line) => /^\s*::/.test(line));
    expect(commands.every((line) => /^::(?:add-mask|error|warning|notice)(?: |::)/.test(line))).toBe(true);
    expect(commands.filter((line) => /^::warning::x/.test(line))).toEqual([]);
    expect(result.stdout).not.toContain('##[');
    expect(github.comments[0]!.body).not.toMatch(/@everyone/);
  });
});

describe('one list of inputs and outputs', () => {
  const action = actionFile();
  const docs = readFileSync(join(ROOT, 'docs/action.md'), 'utf8');
  const documented = (section: string): string[] =>
    [
      ...docs
        .split(`## ${section}\n`)[1]!
        .split('\n## ')[0]!
        .matchAll(/^\| `(?<name>[a-z-]+)` +\|/gm),
    ].map((match) => match.groups!['name']!);

  test('action.yml, code and documentation name the same inputs', async () => {
    const { INPUTS } = await import('../../src/action/inputs.ts');
    expect(Object.keys(action.inputs)).toEqual([...INPUTS]);
    expect(documented('Inputs')).toEqual([...INPUTS]);
  });

  test('action.yml, code and documentation name the same outputs', async () => {
    const { OUTPUTS } = await import('../../src/action/publish.ts');
    expect(Object.keys(action.outputs)).toEqual([...OUTPUTS]);
    expect(documented('Outputs')).toEqual([...OUTPUTS]);
  });

  test('only the token has a default, so that nothing overrides the configuration file unseen', () => {
    expect(
      Object.entries(action.inputs)
        .filter(([, spec]) => spec.default !== undefined)
        .map(([name]) => name),
    ).toEqual(['token']);
  });
});
