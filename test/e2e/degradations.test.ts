import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CASES } from '../../bench/canary-degradations/cases.ts';
import { corpusHalves } from '../../bench/canary-degradations/corpus.ts';
import { MODEL, type Served, startCandidate, startServer, TOKEN } from '../../bench/canary-degradations/serving.ts';
import { runCli } from '../support/cli.ts';
import { type TestRepo, testRepo } from '../support/repo.ts';

// Quality only: how fast a shared machine is must not decide a test.
const PROFILE = `version: 1
pairs: 60
aaPairs: 10
warmupPairs: 1
maxTokens: 6
model: mixtral-micro
metrics:
  - name: answer_changed
  - name: nll
    bySegment: true
  - name: error
    required: false
`;

let repo: TestRepo;
let work: string;
let baseline: Served;

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'mixgate-degradations-test-'));
  repo = testRepo({ 'mixgate.yaml': 'version: 1\ncanary:\n  profile: canary.yaml\n', 'canary.yaml': PROFILE });
  baseline = await startServer(join(work, 'baseline'), 'baseline', MODEL);
});
afterAll(async () => {
  await baseline[Symbol.asyncDispose]();
  repo[Symbol.dispose]();
  rmSync(work, { recursive: true, force: true });
});

interface Report {
  readonly verdict: string;
  readonly findings: readonly { readonly blocking: boolean; readonly subject?: string }[];
}

async function tryCase(id: string): Promise<{ code: number | null; verdict: string; subjects: (string | undefined)[] }> {
  const tried = CASES.find((one) => one.id === id)!;
  const { segmentOf } = await corpusHalves();
  await using candidate = await startCandidate(tried, { work: join(work, id), seed: 1, segmentOf });
  const ran = await runCli(
    ['canary', 'run', '--baseline', baseline.url, '--candidate', candidate.url, '--format', 'json', '--quiet'],
    { cwd: repo.dir, env: { MIXGATE_CANARY_TOKEN: TOKEN }, timeoutMs: 170_000 },
  );
  const report = JSON.parse(ran.stdout) as Report;
  return {
    code: ran.code,
    verdict: report.verdict,
    subjects: report.findings.filter((finding) => finding.blocking).map((finding) => finding.subject),
  };
}

describe('cases of bench/canary-degradations, end to end', () => {
  it('refuses a damaged file, and names the expert', async () => {
    const { code, subjects } = await tryCase('expert-corrupted-3');
    expect(code).toBe(1);
    expect(subjects).toContain('layer 3 expert 1');
  });

  it('refuses a wrong template that only answers can show', async () => {
    expect(await tryCase('wrong-template-3')).toMatchObject({ code: 1, subjects: ['answer_changed'] });
  });

  it('passes a file whose experts are in another order', async () => {
    expect(await tryCase('clean-experts-permuted-all')).toEqual({
      code: 0,
      verdict: expect.stringMatching(/pass|warn/),
      subjects: [],
    });
  });
});
