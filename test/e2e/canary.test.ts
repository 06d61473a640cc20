import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Ran, ROOT, runCli } from '../support/cli.ts';
import { type TestRepo, testRepo } from '../support/repo.ts';
import { startDevRuntime, type TestRuntime } from '../support/runtime.ts';

const MODEL = join(ROOT, 'reference-runtime/models/mixtral-micro-q8_0.gguf');

interface JsonReport {
  readonly verdict: string;
  readonly gates: { readonly reason: string; readonly facts: Record<string, unknown> }[];
  readonly findings: {
    readonly ruleId: string;
    readonly blocking: boolean;
    readonly subject?: string;
    readonly message: string;
    readonly evidence?: Record<string, unknown>;
  }[];
}

// Quality only: how fast a shared machine is must not decide a test.
const PROFILE = `version: 1
pairs: 60
aaPairs: 10
warmupPairs: 1
maxTokens: 4
model: mixtral-micro
metrics:
  - name: nll
    margin: { absolute: 0.05 }
    bySegment: true
  - name: error
    required: false
`;

let repo: TestRepo;
let work: string;
let baseline: TestRuntime;
const canary = (candidate: string, ...more: string[]): Promise<Ran> =>
  runCli(['canary', 'run', '--baseline', baseline.url, '--candidate', candidate, '--format', 'json', '--quiet', ...more], {
    cwd: repo.dir,
    timeoutMs: 170_000,
  });
const report = (ran: Ran): JsonReport => JSON.parse(ran.stdout) as JsonReport;

/** Completions that a runtime has answered so far. */
async function requestsServed(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return [...text.matchAll(/^gen_ai_server_request_duration_seconds_count\S* (?<count>\d+)$/gm)].reduce(
    (sum, match) => sum + Number(match.groups!['count']),
    0,
  );
}

/** Kills the k6 that a command running in `dir` started, and no other's; true when there was one that had begun. */
function killK6Under(dir: string): boolean {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'k6') continue;
      const parent = /^PPid:\s+(?<ppid>\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!.groups!['ppid']!;
      if (readlinkSync(`/proc/${parent}/cwd`) !== realpathSync(dir)) continue;
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes('run')) continue;
      process.kill(Number(pid), 'SIGKILL');
      return true;
    } catch {
      // It ended while it was looked at.
    }
  }
  return false;
}

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'mixgate-canary-test-'));
  repo = testRepo({ 'mixgate.yaml': 'version: 1\ncanary:\n  profile: canary.yaml\n', 'canary.yaml': PROFILE });
  baseline = await startDevRuntime();
});
afterAll(async () => {
  await baseline[Symbol.asyncDispose]();
  repo[Symbol.dispose]();
  rmSync(work, { recursive: true, force: true });
});

describe('mixgate canary run, with real k6 and a real model', () => {
  it('passes the same model, and writes evidence that names the commit', async () => {
    await using candidate = await startDevRuntime();
    const evidence = join(work, 'evidence');
    const ran = await canary(candidate.url, '--evidence', evidence);
    expect([ran.stderr, report(ran).verdict, ran.code]).toEqual(['', 'pass', 0]);
    const [file] = readdirSync(evidence).filter((name) => name.endsWith('.json'));
    expect(JSON.parse(readFileSync(join(evidence, file!), 'utf8'))).toMatchObject({
      predicate: { verdict: 'pass', commit: repo.git('rev-parse', 'HEAD'), command: 'mixgate canary run' },
    });
  });

  it('refuses a model with one damaged expert, names layer, expert and segment, and no other segment', async () => {
    const bad = join(work, 'bad.gguf');
    execFileSync(process.execPath, [
      join(ROOT, 'reference-runtime/bin/mixgate-runtime.mjs'),
      'variant',
      '--model',
      MODEL,
      '--out',
      bad,
      '--kind',
      'expert-corrupt',
      '--layer',
      '3',
      '--expert',
      '1',
      '--seed',
      '1',
    ]);
    await using candidate = await startDevRuntime('--model', bad, '--model-version', '1.1.0');
    const ran = await canary(candidate.url);
    expect(ran.code).toBe(1);
    const { findings } = report(ran);
    expect(
      findings.filter((f) => f.ruleId === 'canary-metric-regressed' && f.blocking && f.subject !== 'nll').map((f) => f.subject),
    ).toEqual(['de']);
    expect(findings.find((f) => f.ruleId === 'canary-expert-degraded')).toMatchObject({
      subject: 'layer 3 expert 1',
      evidence: { layer: 3, expert: 1, segments: ['de'] },
    });
  });

  it('shows answers, cost, use of experts and groups of a real run, and keeps what they follow from', async () => {
    repo.write({
      'signals.yaml': `version: 1
pairs: 12
aaPairs: 0
warmupPairs: 0
maxTokens: 4
model: mixtral-micro
codeRuns: false
sampling: { samples: 2, temperature: 0.8 }
prices: { currency: EUR, asOf: 2020-01-01, baseline: { perMtokInput: 1, perMtokOutput: 2 } }
metrics:
  - { name: nll, by: [segment, language, task], margin: { absolute: 0.05 } }
  - { name: check, required: false }
  - { name: agreement, required: false }
  - { name: cost_per_request }
  - { name: rms_dp }
`,
      'prompts.ndjson': Array.from({ length: 12 }, (_, index) =>
        JSON.stringify({
          id: `q${index}`,
          segment: 'all',
          language: index % 2 === 0 ? 'en' : 'de',
          task: 'completion',
          prompt: 'The Congress shall have power to lay and collect taxes',
          check: { kind: 'regex', value: '.' },
        }),
      ).join('\n'),
    });
    const samples = join(work, 'signals-run.ndjson');
    const ran = await canary(baseline.url, '--profile', 'signals.yaml', '--corpus', 'prompts.ndjson', '--samples', samples);
    expect(ran.stderr).toBe('');
    const parsed = JSON.parse(ran.stdout) as {
      gates: {
        measurements: { name: string; segment?: string; value: number }[];
        tables: { title: string; rows: string[][] }[];
      }[];
      findings: { ruleId: string }[];
    };
    const names = parsed.gates[0]!.measurements.map((one) => `${one.name} ${one.segment ?? ''}`.trim());
    expect(names).toEqual(
      expect.arrayContaining([
        'canary.nll',
        'canary.nll language=de',
        'canary.nll language=en',
        'canary.check',
        'canary.agreement',
        'canary.cost_per_request',
        'canary.rms_dp',
      ]),
    );
    expect(parsed.findings.map((one) => one.ruleId)).toContain('canary-price-stale');
    const table = (title: string): string[][] => parsed.gates[0]!.tables.find((one) => one.title === title)!.rows;
    expect(table('Use of experts by layer').map((row) => row[0])).toEqual(['0', '1', '2', '3']);
    expect(table('Perplexity by expert')).toHaveLength(10);
    expect(table('Divergence of next-token distributions, by token')[0]![0]).toBe('all');
    expect(readFileSync(samples, 'utf8')).toMatch(/"metric":"mixgate_check"/);
  });

  it('is never a pass when the candidate dies in the middle', async () => {
    const candidate = await startDevRuntime();
    const running = canary(candidate.url);
    // In the middle, however slow the machine: after it has answered a few requests.
    await vi.waitUntil(async () => (await requestsServed(candidate.url)) > 5, { timeout: 120_000, interval: 100 });
    candidate.kill();
    const ran = await running;
    await candidate[Symbol.asyncDispose]();
    expect(['fail', 'inconclusive']).toContain(report(ran).verdict);
    expect(ran.code === 1 || ran.code === 4).toBe(true);
    expect(ran.stderr).toBe('');
  });

  it('is inconclusive when k6 is killed, and leaves no temporary files', async () => {
    const temporary = join(work, 'tmp');
    mkdirSync(temporary);
    const running = runCli(
      ['canary', 'run', '--baseline', baseline.url, '--candidate', baseline.url, '--format', 'json', '--quiet'],
      { cwd: repo.dir, timeoutMs: 170_000, env: { TMPDIR: temporary } },
    );
    await vi.waitUntil(() => killK6Under(repo.dir), { timeout: 120_000, interval: 100 });
    const ran = await running;
    expect(ran.code === 3 || ran.code === 4).toBe(true);
    expect(ran.stderr + ran.stdout).toMatch(/k6 was ended by SIGKILL|load generator did not finish/);
    expect(readdirSync(temporary).filter((name) => /^mixgate-canary-[A-Za-z0-9]{6}$/.test(name))).toEqual([]);
  });

  it.each([
    [['--candidate', 'http://127.0.0.1:9'], 3, /the endpoint http:\/\/127\.0\.0\.1:9 does not answer/],
    [['--candidate', 'localhost'], 2, /"localhost" is not an endpoint/],
    [['--candidate', 'http://127.0.0.1:9', '--profile', 'missing.yaml'], 2, /missing\.yaml: the file does not exist/],
    [['--candidate', 'http://127.0.0.1:9', '--corpus', 'none/*.ndjson'], 2, /no corpus file matches none/],
  ])('%j ends in one clear message', async (args, code, message) => {
    const ran = await runCli(['canary', 'run', '--baseline', baseline.url, ...args, '--quiet'], { cwd: repo.dir });
    expect([ran.code, ran.stdout]).toEqual([code, '']);
    expect(ran.stderr).toMatch(message);
  });
});
