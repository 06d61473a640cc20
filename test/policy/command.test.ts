import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseYaml } from '../../src/config/document.ts';
import { checked } from '../../src/config/schema.ts';
import { type Ran, ROOT, runCli } from '../support/cli.ts';
import { temporaryFolder } from '../support/folder.ts';
import { testRepo } from '../support/repo.ts';

const dir = temporaryFolder();
const FILES: { readonly [path: string]: string } = {
  'pol/p.rego':
    'package p\n\ndefault decision := {"allow": false, "rule": "none"}\n\ndecision := {"allow": true, "rule": "small"} if input.n < data.limit\n',
  'pol/data.json': '{"limit": 5}',
  'pol/p_test.rego':
    'package p_test\n\nimport data.p\n\ntest_low if p.decision.allow with input as {"n": 1}\n\ntest_high if not p.decision.allow with input as {"n": 9}\n',
  'wide/p.rego':
    'package p\n\ndefault decision := {"allow": false, "rule": "none"}\n\ndecision := {"allow": true, "rule": "small"} if input.n < 100\n',
  'inv/i.rego': 'package invariants\n\nviolation contains "too high" if {\n\tinput.decision.allow\n\tinput.input.n > 7\n}\n',
  'domain.yaml': 'base: {n: 1}\nvary:\n  n: [1, 8, {boundaries: true}]\n',
  'corpus.ndjson': '{"input": {"n": 1}, "weight": 3}\n{"input": {"n": 9}}\n',
  'input.json': '{"n": 1}',
  'other.json': '{"limit": 100}',
  'broken.json': '{"limit": ',
  'empty.json': '\n',
  'binary.json': '\0\0',
  'list.json': '[1]',
  'bad/p.rego': 'package p\n\ndecision := {',
  'empty/readme.txt': 'nothing',
};
for (const [path, text] of Object.entries(FILES)) {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), text);
}
const policy = (...args: string[]): Promise<Ran> => runCli(['policy', ...args, '--quiet'], { cwd: dir });

interface Shown {
  readonly verdict: string;
  readonly gates: readonly {
    readonly reason: string;
    readonly facts?: Record<string, unknown>;
    readonly measurements: readonly { readonly name: string; readonly segment?: string }[];
  }[];
  readonly findings: readonly { readonly ruleId: string; readonly location?: { readonly file: string; readonly line: number } }[];
}
function json(ran: Ran): Shown {
  checked('report', parseYaml(ran.stdout, 'stdout'));
  return JSON.parse(ran.stdout) as Shown;
}
const E = ['--entrypoint', 'p/decision'];

describe('verbs', () => {
  test('check passes a good policy and fails a broken one with its line', async () => {
    expect((await policy('check', 'pol')).code).toBe(0);
    const broken = await policy('check', 'bad', '--format', 'json');
    expect([broken.code, json(broken).findings[0]]).toEqual([
      1,
      expect.objectContaining({
        ruleId: 'policy-check-failed',
        location: expect.objectContaining({ file: 'bad/p.rego', line: 3 }),
      }),
    ]);
  });
  test('test counts, covers and judges', async () => {
    const ran = json(await policy('test', 'pol', '--threshold', '100', '--format', 'json'));
    expect(ran.gates[0]!.reason).toMatch(/^2 of 2 tests pass; 2 of 2 definitions hold in some test/);
    const demanding = ['--rule-threshold', '100', '--decision-threshold', '100'];
    const judged = await policy('test', 'pol', ...demanding, ...E, '--domain', 'domain.yaml', '--format', 'json');
    expect(json(judged).gates[0]!.reason).toMatch(
      / of p\/decision that the domain reaches \(all \d+ points\) are seen by a test/,
    );
    expect((await policy('test', 'pol', '--decision-threshold', '100')).code).toBe(2);
    expect((await policy('test', 'wide')).stdout).toContain('no unit tests');
  });
  test('lint says what it could not look at without a domain', async () => {
    expect((await policy('lint', 'pol', ...E)).stdout).toContain('No domain given');
    expect((await policy('lint', 'pol', ...E, '--domain', 'domain.yaml')).code).toBe(0);
  });
  test('bench measures p50 and p99', async () => {
    const ran = json(await policy('bench', 'pol', ...E, '--corpus', 'corpus.ndjson', '--rounds', '500', '--format', 'json'));
    expect(ran.gates[0]!.measurements.map((m) => m.name)).toEqual(['policy.evaluation.p50', 'policy.evaluation.p99']);
    expect((await policy('bench', 'pol', ...E, '--rounds', '200', '--budget', '0.000001')).code).toBe(1);
  });
  test('bench --growth measures at three sizes of pools, tenants and rules', async () => {
    const library = ['policies/routing', '--entrypoint', 'routing/decision', '--domain', 'policies/domain.yaml'];
    const ran = await runCli(['policy', 'bench', ...library, '--growth', '--rounds', '200', '-q', '--format', 'json'], {
      cwd: ROOT,
    });
    // Whether it is within the budget is not asked of a busy machine.
    expect([0, 1]).toContain(ran.code);
    const { measurements } = json(ran).gates[0]!;
    for (const what of ['input.fleet.pools', 'data.tenants', 'rules'])
      for (const name of ['p50', 'p99'])
        expect(
          measurements.filter((m) => m.name === `policy.growth.${name}` && m.segment?.endsWith(what) === true),
          `${name} of ${what}`,
        ).toHaveLength(3);
  });
  test('bench says when there was no input to measure on', async () => {
    const ran = json(await policy('bench', 'pol', ...E, '--rounds', '200', '--format', 'json'));
    expect(ran.gates[0]!.reason).toContain('on an empty input only');
  });
  test('diff of a folder with itself is empty, with a wider one it is not', async () => {
    expect(json(await policy('diff', 'pol', 'pol', ...E, '--corpus', 'corpus.ndjson', '--format', 'json')).gates[0]!.reason).toBe(
      'no decision differs in 2 inputs',
    );
    const ran = await policy('diff', 'pol', 'wide', ...E, '--corpus', 'corpus.ndjson', '--block', 'widened', '--format', 'json');
    expect(ran.code).toBe(1);
    expect(json(ran).findings.map((f) => [f.ruleId, f.location?.file, f.location?.line])).toEqual([
      ['policy-decision-widened', 'wide/p.rego', 5],
    ]);
    expect(json(ran).gates[0]!.facts).toMatchObject({
      corpus: { replayed: 2, changed: 1, classes: { widened: { count: 1, share: 0.25 } } },
    });
  });
  test('diff takes data of each side', async () => {
    const ran = json(
      await policy('diff', 'pol', 'pol', ...E, '--corpus', 'corpus.ndjson', '--data-head', 'other.json', '--format', 'json'),
    );
    expect(ran.gates[0]!.facts).toMatchObject({ corpus: { classes: { widened: { causes: { policy: 0, data: 1, both: 0 } } } } });
  });
  test('diff takes Git refs', async () => {
    using repo = testRepo({
      'pol/p.rego': FILES['pol/p.rego']!,
      'pol/data.json': FILES['pol/data.json']!,
      'corpus.ndjson': FILES['corpus.ndjson']!,
      'mixgate.yaml': 'version: 1\npolicy:\n  roots: [pol]\n  entrypoints: [p/decision]\n',
    });
    repo.write({ 'pol/data.json': '{"limit": 100}' });
    for (const base of ['main:pol', 'main']) {
      const ran = await runCli(['policy', 'diff', base, 'pol', ...E, '--corpus', 'corpus.ndjson', '--format', 'json', '-q'], {
        cwd: repo.dir,
      });
      expect(json(ran).findings.map((f) => f.ruleId)).toEqual(['policy-decision-widened']);
    }
  });
  test('prove says N of N, or gives the counterexample', async () => {
    const good = await policy('prove', 'pol', ...E, '--domain', 'domain.yaml', '--invariants', 'inv', '--format', 'json');
    expect([good.code, json(good).gates[0]!.facts?.['proof']]).toEqual([0, 'proved on 5 of 5']);
    const bad = await policy('prove', 'wide', ...E, '--domain', 'domain.yaml', '--invariants', 'inv');
    expect(bad.code).toBe(1);
    expect(bad.stdout).toContain('policy-invariant-violated');
  });
  test('eval prints the decision and the rules that made it', async () => {
    const ran = await policy('eval', 'pol', ...E, '--input', 'input.json');
    expect(ran.code).toBe(0);
    expect(ran.stdout).toContain('"rule": "small"');
    expect(ran.stdout).toContain('decided by p.decision (pol/p.rego:5)');
    const data = json(await policy('eval', 'pol', ...E, '--input', 'input.json', '--data', 'other.json', '--format', 'json'));
    expect(data.gates[0]!.facts).toMatchObject({ decision: { allow: true }, decidedBy: { file: 'pol/p.rego', line: 5 } });
  });
  test('eval reads standard input, and a default decides too', async () => {
    const ran = await runCli(['policy', 'eval', 'pol', ...E, '--input', '-', '-q'], { cwd: dir, input: '{"n": 50}' });
    expect(ran.stdout).toContain('decided by p.decision (pol/p.rego:3)');
  });
  test('explain says what failed where and what would flip the decision', async () => {
    const high = ['explain', 'pol', ...E, '--input', '-', '--domain', 'domain.yaml'];
    const ran = await runCli(['policy', ...high, '-q'], { cwd: dir, input: '{"n": 50}' });
    expect(ran.code).toBe(0);
    expect(ran.stdout).toContain('input.n < data.limit (line 5); read input.n = 50, data.limit = 5');
    expect(ran.stdout).toContain('n: 50 → 1');
    const markdown = await runCli(['policy', ...high, '-q', '--format', 'markdown'], { cwd: dir, input: '{"n": 50}' });
    expect(markdown.stdout).toContain('Smallest changes that flip the decision');
  });
  test.each<[string, string[], boolean]>([
    ['lint', ['lint', 'pol', ...E, '--domain', 'domain.yaml'], false],
    ['test', ['test', 'pol', ...E, '--domain', 'domain.yaml', '--rule-threshold', '100', '--mutation'], false],
    ['prove', ['prove', 'wide', ...E, '--domain', 'domain.yaml', '--invariants', 'inv'], true],
    ['diff', ['diff', 'pol', 'wide', ...E, '--domain', 'domain.yaml', '--corpus', 'corpus.ndjson'], true],
  ])('two processes print the same bytes, what a clock measured left out: %s', async (_name, args, timed) => {
    const one = async (): Promise<string> => (await policy(...args, '--format', 'json')).stdout;
    const [first, second] = [await one(), await one()];
    const clocked = (value: unknown): boolean =>
      typeof value === 'object' && value !== null && (value as { volatile?: boolean }).volatile === true;
    let left = 0;
    const kept = (text: string): string =>
      JSON.stringify(
        JSON.parse(text, (_key, value: unknown) => {
          if (!Array.isArray(value)) return value;
          const rest = value.filter((item) => !clocked(item));
          left += value.length - rest.length;
          return rest;
        }),
      );
    expect(kept(first)).toBe(kept(second));
    // Where no clock is read, the very bytes are the same.
    if (timed) expect(left).toBeGreaterThan(0);
    else expect(first).toBe(second);
  });
});

describe('bad input', () => {
  const D = ['--domain', 'domain.yaml'];
  test.each<[string, string[], RegExp]>([
    ['no folder', ['check'], /needs DIR/],
    ['a folder that is not there', ['check', 'nowhere'], /nowhere does not exist/],
    ['a file instead of a folder', ['check', 'input.json'], /input\.json is a file/],
    ['a folder without Rego', ['check', 'empty'], /holds no Rego module/],
    ['a threshold above 100', ['test', 'pol', '--threshold', '101'], /percentage from 0 to 100/],
    ['a threshold that is no number', ['test', 'pol', '--threshold', 'x'], /Expected a number/],
    ['no entrypoint', ['bench', 'pol'], /--entrypoint/],
    ['an entrypoint that is none', ['bench', 'pol', '--entrypoint', 'p;x'], /Expected PACKAGE\/RULE/],
    ['rounds of zero', ['bench', 'pol', ...E, '--rounds', '0'], /--rounds is 0/],
    ['a budget below zero', ['bench', 'pol', ...E, '--budget', '-1'], /budget/],
    ['a diff on nothing', ['diff', 'pol', 'pol', ...E], /nothing to compare on/],
    ['a diff of one side', ['diff', 'pol', ...E], /needs BASE HEAD/],
    [
      'a side that is neither folder nor ref',
      ['diff', 'nowhere', 'pol', ...E, '--corpus', 'corpus.ndjson'],
      /neither a folder nor a Git ref/,
    ],
    [
      'an unknown class',
      ['diff', 'pol', 'pol', ...E, '--corpus', 'corpus.ndjson', '--block', 'wider'],
      /did you mean|Expected one of widened/,
    ],
    ['a missing corpus', ['diff', 'pol', 'pol', ...E, '--corpus', 'no.ndjson'], /no\.ndjson: the file does not exist/],
    ['a binary corpus', ['diff', 'pol', 'pol', ...E, '--corpus', 'binary.json'], /binary/],
    ['a base that does not compile', ['diff', 'bad', 'pol', ...E, '--corpus', 'corpus.ndjson'], /bad\/p\.rego:3/],
    [
      'a missing domain',
      ['prove', 'pol', ...E, '--domain', 'no.yaml', '--invariants', 'inv'],
      /no\.yaml: the file does not exist/,
    ],
    [
      'a domain that is a list',
      ['prove', 'pol', ...E, '--domain', 'list.json', '--invariants', 'inv'],
      /list\.json:1:1: the document is a list/,
    ],
    ['no invariants', ['prove', 'pol', ...E, ...D], /--invariants/],
    ['a folder without invariants', ['prove', 'pol', ...E, ...D, '--invariants', 'wide'], /no invariant is declared here/],
    ['points below one', ['prove', 'pol', ...E, ...D, '--invariants', 'inv', '--max-points', '0'], /--max-points is 0/],
    ['pairs of one', ['prove', 'pol', ...E, ...D, '--invariants', 'inv', '--strength', '1'], /--strength is 1\..*from 2 to 6/s],
    ['a strength of seven', ['prove', 'pol', ...E, ...D, '--invariants', 'inv', '--strength', '7'], /from 2 to 6/],
    ['half a strength', ['prove', 'pol', ...E, ...D, '--invariants', 'inv', '--strength', '2.5'], /--strength/],
    [
      'a strength that does not fit',
      ['prove', 'pol', ...E, ...D, '--invariants', 'inv', '--max-points', '1', '--strength', '2'],
      /every 2-way combination of this domain takes \d+ points, and the search has 1\./,
    ],
    ['data that is broken', ['eval', 'pol', ...E, '--input', 'input.json', '--data', 'broken.json'], /broken\.json:1/],
    ['data that is a list', ['eval', 'pol', ...E, '--input', 'input.json', '--data', 'list.json'], /must be an object/],
    ['no input', ['eval', 'pol', ...E], /--input/],
    ['an input that is broken', ['eval', 'pol', ...E, '--input', 'broken.json'], /broken\.json:1/],
    ['an input that is empty', ['eval', 'pol', ...E, '--input', 'empty.json'], /empty\.json: the input is empty/],
    [
      'a -C that is no folder',
      ['eval', 'pol', ...E, '--input', 'input.json', '-C', 'nowhere'],
      /-C is "nowhere", which is no folder/,
    ],
    ['an input that is a folder', ['eval', 'pol', ...E, '--input', 'pol'], /this is no file/],
    ['an unknown verb', ['proof', 'pol'], /did you mean `prove`/],
    ['an unknown flag', ['prove', 'pol', '--domian', 'x'], /did you mean `--domain`/],
  ])('%s', async (_name, args, message) => {
    const ran = await policy(...args);
    expect(ran.stderr).toMatch(message);
    expect([ran.code, ran.stdout]).toEqual([2, '']);
    expect(ran.stderr).not.toMatch(/^\s+at /m);
  });
  test('a report that cannot be written leaves nothing behind', async () => {
    const ran = await policy('check', 'pol', '--report', 'json=empty');
    expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining('the json report was not written')]);
    expect(readdirSync(dir).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
  test('an entrypoint that is not in the policy is a finding that lists those that are', async () => {
    const ran = await policy('eval', 'pol', '--entrypoint', 'p/choice', '--input', 'input.json');
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain('p/decision');
  });
});
