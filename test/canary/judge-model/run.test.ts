import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runCli } from '../../support/cli.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { testRepo } from '../../support/repo.ts';
import { loopback, says } from './support.ts';

const work = temporaryFolder();
const KEY = 'sk-loopback-secret';

const profile = (judge: string, metrics = ['context_adherence']): string => `version: 1
pairs: 24
aaPairs: 0
warmupPairs: 0
score: false
judge: { url: "${judge}/v1", model: m, apiKeyEnv: MIXGATE_JUDGE_KEY, polls: 3, scores: [context_adherence] }
metrics: [${metrics.map((name) => `{ name: ${name} }`).join(', ')}]
`;
const corpus = Array.from({ length: 12 }, (_, i) =>
  JSON.stringify({ id: `p${i}`, segment: 's', prompt: `Where is ${i}?`, context: `${i} is in Rome.` }),
).join('\n');

/** An endpoint whose answers are all `text`. */
const endpoint = (text: string) =>
  loopback((asked) =>
    asked.path === '/v1/models' ? { body: { data: [] } } : { body: { choices: [{ text: `${text}: ${asked.path.length}` }] } },
  );

it('mixgate canary run scores answers with a judge model, by the profile of the base in a pull request', async () => {
  await using judge = await loopback((asked) =>
    says(JSON.stringify({ reasoning: 'r', answer: !asked.body.messages[0]!.content.includes('in Paris:') })),
  );
  await using baseline = await endpoint('in Rome');
  await using candidate = await endpoint('in Paris');
  using repo = testRepo({
    'mixgate.yaml': 'version: 1\ncanary: { profile: canary.yaml, corpus: [c.ndjson] }\n',
    'canary.yaml': profile(judge.url),
    'c.ndjson': corpus,
  });
  const run = (env: NodeJS.ProcessEnv, ...more: string[]) =>
    runCli(['canary', 'run', '--baseline', baseline.url, '--candidate', candidate.url, '--format', 'json', '--quiet', ...more], {
      cwd: repo.dir,
      env: { MIXGATE_JUDGE_KEY: KEY, ...env },
    });

  const samples = join(work, 'samples.ndjson');
  const ran = await run({}, '--samples', samples, '--report', `html=${join(work, 'r.html')}`);
  expect([ran.stderr, ran.code]).toEqual(['', 1]);
  const report = JSON.parse(ran.stdout) as {
    verdict: string;
    gates: { tables: { title: string; rows: string[][] }[] }[];
    findings: { message: string }[];
  };
  expect(report.findings.map((f) => f.message)).toEqual([
    expect.stringMatching(/^Context adherence \(judge model\) is worse: -1/),
  ]);
  // 12 prompts, each twice, two arms: 24 different answers, 3 polls each.
  expect(report.gates[0]!.tables.find((table) => table.title === 'The judge model against itself')!.rows).toEqual([
    ['context_adherence', '24', '72', '0', '0.0000', expect.any(String), '1.000', '1.000'],
  ]);
  expect(judge.asked).toHaveLength(73);
  expect(new Set(judge.asked.map((asked) => asked.authorization))).toEqual(new Set([`Bearer ${KEY}`]));
  for (const text of [ran.stdout, readFileSync(samples, 'utf8'), readFileSync(join(work, 'r.html'), 'utf8')])
    expect(text).not.toContain(KEY);

  // A pull request that points the judge at itself: refused, and never asked when the base is named.
  await using thief = await loopback(() => says('{"answer": true}'));
  writeFileSync(join(repo.dir, 'canary.yaml'), profile(thief.url));
  const pull = { GITHUB_EVENT_NAME: 'pull_request' };
  const refused = await run(pull);
  expect([refused.code, refused.stdout]).toEqual([2, '']);
  expect(refused.stderr).toContain(
    'canary.yaml: the profile names a judge model, and in a pull request anyone could have put it there',
  );
  expect((await run(pull, '--base', 'HEAD')).code).toBe(1);
  expect(thief.asked).toEqual([]);
});

it('a metric that needs a judge model says so, and a missing key is named before anything is sent', async () => {
  await using server = await loopback(() => ({ body: {} }));
  using repo = testRepo({ 'a.yaml': profile(server.url, ['hallucination']), 'b.yaml': profile(server.url) });
  const run = (file: string) =>
    runCli(['canary', 'run', '--profile', file, '--baseline', server.url, '--candidate', server.url], {
      cwd: repo.dir,
      env: { MIXGATE_JUDGE_KEY: '' },
    });
  const unasked = await run('a.yaml');
  expect([unasked.code, unasked.stderr]).toEqual([
    2,
    expect.stringContaining('a.yaml:7:11: the metric hallucination needs a judge model that is asked for it. Fix: add `judge:'),
  ]);
  const keyless = await run('b.yaml');
  expect([keyless.code, keyless.stderr]).toEqual([2, expect.stringContaining('MIXGATE_JUDGE_KEY is not set')]);
  expect(server.asked.filter((asked) => asked.path !== '/v1/models')).toEqual([]);
});
