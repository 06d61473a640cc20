import { describe, expect, it } from 'vitest';
import { agreement } from '../../../src/canary/run/agreement.ts';
import { type AnswerCheck, parseCheck, passesCheck } from '../../../src/canary/run/answer-check.ts';
import { buildCase } from '../../../src/canary/run/case.ts';
import { codePasses, requireCodeSandbox } from '../../../src/canary/run/code-run.ts';
import { costPoints, priceAgeDays } from '../../../src/canary/run/cost.ts';
import { derivePoints, pointLine } from '../../../src/canary/run/derive.ts';
import { divergenceTable } from '../../../src/canary/run/divergence-table.ts';
import { expertPerplexityTable, usageTable } from '../../../src/canary/run/experts-usage.ts';
import { type CanaryPoint, parsePoints } from '../../../src/canary/run/points.ts';
import type { CanaryProfileDocument } from '../../../src/generated/schemas.ts';

const SCHEMA = { type: 'object', required: ['n'], properties: { n: { type: 'integer' }, s: { pattern: '^(a+)+$' } } };
type Simple = Exclude<AnswerCheck, { kind: 'code' }>;
const point = (metric: string, value: number, pair: number, tags: Record<string, string> = {}, text?: string): CanaryPoint => ({
  metric,
  value,
  pair,
  prompt: `p${pair}`,
  tags: { block: 'ab', segment: 's', ...tags },
  ...(text === undefined ? {} : { text }),
});
const profile: CanaryProfileDocument = { version: 1, pairs: 10, metrics: [{ name: 'check' }] };

describe('answer checks', () => {
  it.each<[Simple, string, boolean]>([
    [{ kind: 'exact', value: '42' }, ' 42\n', true],
    [{ kind: 'exact', value: '42' }, '42.', false],
    [{ kind: 'contains', value: 'Paris' }, 'It is Paris.', true],
    [{ kind: 'regex', value: '^\\d{4}-\\d{2}$' }, '2026-01', true],
    [{ kind: 'regex', value: '^(a+)+$' }, `${'a'.repeat(16_000)}!`, false],
    [{ kind: 'json' }, '{"n":', false],
    [{ kind: 'json', schema: SCHEMA }, '{"n": 1}', true],
    [{ kind: 'json', schema: SCHEMA }, '{"n": 1.5}', false],
    [{ kind: 'json', schema: SCHEMA }, JSON.stringify({ n: 1, s: `${'a'.repeat(16_000)}!` }), false],
  ])('%j', (check, text, expected) => {
    expect(passesCheck(check, text)).toBe(expected);
  });

  it.each([
    { kind: 'regex', value: '(' },
    { kind: 'json', schema: { type: 'nonsense' } },
    { kind: 'exact' },
    { kind: 'shell', value: 'ls' },
  ])('refuses %j', (check) => {
    expect(parseCheck(check)).toEqual(expect.any(String));
  });
});

describe('code of answers', () => {
  const TEST = 'if (add(1, 2) !== 3) throw new Error("wrong");';
  it.each([
    ['right', '```js\nfunction add(a, b) { return a + b; }\n```', true],
    ['wrong', 'function add(a, b) { return a - b; }', false],
    ['ends early with success', 'process.exit(0);', false],
    ['reads files', 'import fs from "node:fs"; fs.readFileSync("/etc/passwd"); function add(a, b) { return a + b; }', false],
    ['starts programs', 'import { execSync } from "node:child_process"; execSync("true"); const add = (a, b) => a + b;', false],
    ['prints without end', 'for (;;) console.log("x".repeat(4096));', false],
  ])('that %s', async (_, answer, expected) => {
    expect(await codePasses(answer, TEST)).toBe(expected);
  });

  it('has no network, not even the machine itself', async () => {
    await requireCodeSandbox();
    const { createServer } = await import('node:net');
    const server = createServer((socket) => socket.end('hello'));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as { port: number };
    const connects = `import net from 'node:net';
      await new Promise((done, fail) => net.connect(${port}, '127.0.0.1').on('connect', done).on('error', fail));`;
    expect(await codePasses(connects, '')).toBe(false);
    server.close();
  });

  it('reaches no other process, and not the memory of the machine', async () => {
    await requireCodeSandbox();
    expect(await codePasses(`process.kill(${process.pid}, 0);`, '')).toBe(false);
    const takes = (megabytes: number): string =>
      `const all = []; for (let i = 0; i < ${megabytes}; i += 10) all.push(new Uint8Array(1e7).fill(1));`;
    expect(await codePasses(takes(50), '')).toBe(true);
    expect(await codePasses(takes(1500), '')).toBe(false);
  });

  it('is not run unless allowed: no data, no pass', async () => {
    const prompts = [{ id: 'p1', segment: 's', prompt: 'x', check: { kind: 'code' as const, value: TEST } }];
    expect(await derivePoints([point('answer', 1, 1, { arm: 'baseline' }, 'x')], profile, prompts, undefined)).toEqual([]);
  });
});

describe('derived points', () => {
  it('checks the answers, and writes points that are read back alike', async () => {
    const prompts = [{ id: 'p1', segment: 's', prompt: 'x', check: { kind: 'exact' as const, value: 'yes' } }];
    const derived = await derivePoints(
      [point('answer', 3, 1, { arm: 'baseline' }, 'yes'), point('answer', 2, 1, { arm: 'candidate' }, 'no')],
      profile,
      prompts,
      undefined,
    );
    expect(derived.map((one) => [one.metric, one.value, one.tags['arm']])).toEqual([
      ['check', 1, 'baseline'],
      ['check', 0, 'candidate'],
    ]);
    expect(parsePoints(derived.map(pointLine)).points).toEqual(derived);
  });

  it('measures agreement by shared words', () => {
    expect(agreement(['a b', 'b a'])).toBe(1);
    expect(agreement(['a b', 'b c'])).toBeCloseTo(1 / 3, 12);
    expect(agreement(['a', 'b', 'a'])).toBeCloseTo(1 / 3, 12);
    expect(agreement(['a'])).toBeUndefined();
  });

  it('prices tokens, and the baseline as itself in the A/A block', () => {
    const prices = {
      currency: 'EUR',
      asOf: '2026-01-01',
      baseline: { perMtokInput: 1, perMtokOutput: 4 },
      candidate: { perAcceleratorHour: 3.6, accelerators: 2 },
    };
    const request = (arm: string, block: string): CanaryPoint[] =>
      [
        ['input_tokens', 100],
        ['answer_tokens', 50],
        ['e2e_ms', 500],
      ].map(([metric, value]) => point(metric as string, value as number, block === 'aa' ? 1 : 2, { arm, block }));
    const cost = costPoints([...request('candidate', 'aa'), ...request('baseline', 'ab'), ...request('candidate', 'ab')], prices);
    expect(cost.filter((one) => one.metric === 'cost_per_request').map((one) => one.value)).toEqual([3e-4, 3e-4, 1e-3]);
    expect(cost.find((one) => one.metric === 'cost_per_mtok')!.value).toBeCloseTo(2, 12);
    expect(priceAgeDays(prices, '2026-01-15T00:00:00Z')).toBe(14);
    expect(() => priceAgeDays(prices, '2025-01-15T00:00:00Z')).toThrow(/in the future/);
  });
});

describe('groups', () => {
  it('gives domain, language and task their verdicts, and asks about the same prompts once', () => {
    const points = Array.from({ length: 40 }, (_, pair) => {
      const language = pair % 2 === 0 ? 'de' : 'en';
      const tags = { segment: language, language, domain: pair % 4 < 2 ? 'law' : 'news', task: 'completion' };
      return ['baseline', 'candidate'].map((arm) => point('nll', 1, pair, { ...tags, arm }));
    }).flat();
    const by: CanaryProfileDocument['metrics'][number]['by'] = ['segment', 'domain', 'language', 'task'];
    const built = buildCase(
      points,
      { version: 1, pairs: 40, metrics: [{ name: 'nll', by }] },
      { block: 'ab', seed: 1, alpha: 0.05 },
    );
    expect(built.metrics.map((metric) => metric.segment)).toEqual([undefined, 'de', 'en', 'domain=law', 'domain=news']);
  });
});

describe('tables', () => {
  it('shows entropy, skew and unused experts of each layer', () => {
    const slots = (arm: string, counts: number[]): CanaryPoint[] =>
      counts.map((count, expert) => point('expert_slots', count, 1, { arm, layer: '0', expert: String(expert) }));
    expect(usageTable([...slots('baseline', [5, 5, 5, 5]), ...slots('candidate', [10, 10, 0, 0])])!.rows).toEqual([
      ['0', '2.000 → 1.000', '0.000 → 1.000', '- → 2, 3'],
    ]);
    expect(usageTable([])).toBeUndefined();
  });

  it('shows perplexity by expert, of both arms', () => {
    const traced = { ...point('token_dnll', 0, 1), tokens: `${Math.log(2)}:0+1:${Math.log(4)} 0:1:${Math.log(4)}` };
    expect(expertPerplexityTable([traced])!.rows).toEqual([
      ['0', '0', '1', '4.00', '8.00'],
      ['0', '1', '2', '4.00', '5.66'],
    ]);
  });

  it('shows quantiles of the divergence over tokens, where the tokens suffice', () => {
    const tokens = Array.from({ length: 1000 }, (_, index) => String((index + 1) / 1000)).join(' ');
    expect(divergenceTable([{ ...point('kld', 0.5, 1), tokens }])!.rows[0]).toEqual([
      'all',
      '1000',
      '0.500',
      '0.500',
      '0.990',
      '0.999',
      '1.00',
    ]);
    expect(divergenceTable([{ ...point('kld', 0.5, 1), tokens: '1 2 3' }])!.rows[0]!.slice(4, 6)).toEqual(['-', '-']);
  });
});
