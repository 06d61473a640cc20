import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildPlan, planRounds } from '../../../src/canary/run/plan.ts';
import { runCli } from '../../support/cli.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { testRepo } from '../../support/repo.ts';
import { loopback } from '../judge-model/support.ts';

const work = temporaryFolder();

const profile = (more = ''): string => `version: 1
pairs: 12
maxPairs: 40
aaPairs: 0
warmupPairs: 1
score: false
${more}metrics: [{ name: answer_changed, margin: { absolute: 0.12 } }]
`;
const corpus = Array.from({ length: 12 }, (_, i) => JSON.stringify({ id: `p${i}`, segment: 's', prompt: `Where is ${i}?` })).join(
  '\n',
);

/** An endpoint whose answers are all `text`. */
const endpoint = (text: string) =>
  loopback((asked) => ({ body: asked.path === '/v1/models' ? { data: [] } : { choices: [{ text }] } }));

describe('a run that is inconclusive goes on', () => {
  it('in rounds of the same plan', () => {
    const plan = buildPlan({
      profile: { version: 1, pairs: 12, maxPairs: 40, aaPairs: 2, warmupPairs: 1, metrics: [{ name: 'nll' }] },
      prompts: [{ id: 'a', segment: 's', prompt: 'x' }],
      baseline: 'http://a',
      candidate: 'http://b',
      seed: 1,
    });
    const rounds = planRounds(plan, 12);
    expect(rounds.map(({ iterations }) => iterations.length)).toEqual([15, 12, 12, 4]);
    expect(rounds.flatMap(({ iterations }) => iterations)).toEqual(plan.iterations);
    expect(rounds.slice(1).flatMap(({ iterations }) => iterations.map(({ block }) => block))).toEqual(Array(28).fill('ab'));
  });

  it('until it can decide, and stops at once where it can', async () => {
    await using baseline = await endpoint('in Rome');
    using repo = testRepo({
      'mixgate.yaml': 'version: 1\ncanary: { profile: canary.yaml, corpus: [c.ndjson] }\n',
      'canary.yaml': profile(),
      'c.ndjson': corpus,
    });
    const run = async (text: string) => {
      await using candidate = await endpoint(text);
      const samples = join(work, `${text.length}.ndjson`);
      const ran = await runCli(
        // biome-ignore format: one flag with its value a line would be longer than the test
        ['canary', 'run', '--baseline', baseline.url, '--candidate', candidate.url, '--format', 'json', '--quiet', '--samples', samples],
        { cwd: repo.dir },
      );
      const kept = readFileSync(samples, 'utf8')
        .split('\n')
        .filter((line) => line.includes('"mixgate_error"') && line.includes('"Point"') && line.includes('"block":"ab"'))
        .map((line) => (JSON.parse(line) as { data: { metadata: { pair: string } } }).data.metadata.pair);
      const { gates } = JSON.parse(ran.stdout) as { gates: { tables: { note: string }[] }[] };
      const sent = candidate.asked.filter(({ path }) => path.endsWith('completions')).length;
      return { code: ran.code, pairs: new Set(kept).size, sent, note: gates[0]!.tables[0]!.note };
    };
    // 12 equal answers can't rule out 12 %, 24 can; four rounds were planned, and the error is kept over four looks.
    expect(await run('in Rome')).toMatchObject({
      code: 0,
      pairs: 24,
      sent: 25,
      note: expect.stringContaining('and 4 looks (this is look 2)'),
    });
    expect(await run('elsewhere')).toMatchObject({ code: 1, pairs: 12, sent: 13 });
  });

  it('not with a judge model, which each round would ask about every answer again', async () => {
    await using server = await loopback(() => ({ body: {} }));
    using repo = testRepo({
      'a.yaml': profile(`judge: { url: "${server.url}/v1", model: m, apiKeyEnv: MIXGATE_JUDGE_KEY, scores: [hallucination] }\n`),
    });
    const refused = await runCli(['canary', 'run', '--profile', 'a.yaml', '--baseline', server.url, '--candidate', server.url], {
      cwd: repo.dir,
    });
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('`maxPairs` does not go with `judge`')]);
  });
});
