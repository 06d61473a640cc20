import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT, runCli } from '../support/cli.ts';
import { type TestRepo, testRepo } from '../support/repo.ts';
import { catalogFiles, MICRO, MODEL } from './support.ts';

let repo: TestRepo;
beforeAll(() => {
  repo = testRepo({
    ...catalogFiles(),
    'text.gguf': 'not a model, and longer than a header of a model is\n',
    'cut.gguf': readFileSync(MICRO),
    'bare/m.yaml': MODEL,
    'empty/README.md': 'x',
  });
  truncateSync(join(repo.dir, 'cut.gguf'), 3_000_000);
});
afterAll(() => repo[Symbol.dispose]());

interface Reported {
  readonly verdict: string;
  readonly gates: readonly { readonly measurements: readonly { readonly name: string; readonly value: number }[] }[];
  readonly findings: readonly { readonly ruleId: string; readonly location: { readonly file: string } }[];
}

const json = async (args: readonly string[], cwd = repo.dir) => {
  const ran = await runCli([...args, '--format', 'json', '--quiet'], { cwd });
  if (ran.stdout === '') throw new Error(ran.stderr);
  return { ...ran, report: JSON.parse(ran.stdout) as Reported };
};

describe('mixgate catalog fit as a process', () => {
  it('the model of the repository fits 80 GiB', async () => {
    const ran = await json(['catalog', 'fit', MICRO, '--memory', '80GiB', '--context', '512', '--sequences', '8']);
    expect([ran.code, ran.report.verdict]).toEqual([0, 'pass']);
    const value = (name: string): number | undefined =>
      ran.report.gates[0]!.measurements.find((each) => each.name === name)?.value;
    expect([value('catalog.parameters.total'), value('catalog.parameters.active'), value('catalog.memory.kv_cache')]).toEqual([
      5_512_896,
      1_973_952,
      2 * 4 * 2 * 32 * 2 * 512 * 8,
    ]);
  });

  it('does not fit 8 MiB: exit 1', async () => {
    const ran = await json(['catalog', 'fit', MICRO, '--memory', '8MiB', '--overhead', '0', '--context', '512']);
    expect([ran.code, ran.report.findings.map((each) => each.ruleId)]).toEqual([1, ['catalog-memory-exceeded']]);
  });

  it('warns of a context that the model was not made for', async () => {
    const ran = await json(['catalog', 'fit', MICRO, '--memory', '80GiB', '--context', '8192', '--sequences', '8']);
    expect([ran.code, ran.report.verdict]).toEqual([0, 'warn']);
  });

  it.each<[string, readonly string[], RegExp]>([
    ['a file that is no model', ['text.gguf', '--memory', '80GiB'], /text\.gguf: the file does not start with the letters GGUF/],
    [
      'a model cut in half',
      ['cut.gguf', '--memory', '80GiB'],
      /cut\.gguf: the file is cut short: its tensors end at byte \d+, the file at 3000000/,
    ],
    ['a file that does not exist', ['nope.gguf', '--memory', '80GiB'], /nope\.gguf: the model file cannot be opened/],
    ['a folder', ['bare', '--memory', '80GiB'], /bare: this is not a file/],
    ['no memory', ['cut.gguf'], /--memory SIZE is missing/],
    ['memory that is none', ['cut.gguf', '--memory', 'lots'], /--memory is "lots"/],
    ['memory of zero', ['cut.gguf', '--memory', '0'], /--memory is "0"/],
    ['a context of zero', [MICRO, '--memory', '1GiB', '--context', '0'], /--context is 0/],
    ['sequences below zero', [MICRO, '--memory', '1GiB', '--sequences=-1'], /--sequences is -1/],
    ['a context that is no number', [MICRO, '--memory', '1GiB', '--context', 'x'], /--context is "x"/],
    ['a KV type that is unknown', [MICRO, '--memory', '1GiB', '--kv-cache', 'f8'], /--kv-cache is "f8"/],
    ['a share above one', [MICRO, '--memory', '1GiB', '--utilisation', '2'], /--utilisation is 2/],
    ['overhead that is none', [MICRO, '--memory', '1GiB', '--overhead', '-'], /--overhead/],
    ['no file', ['--memory', '1GiB'], /MODEL\.gguf/],
  ])('%s: exit 2, one message', async (_name, args, message) => {
    const ran = await runCli(['catalog', 'fit', ...args], { cwd: repo.dir });
    expect([ran.code, ran.stdout], ran.stderr).toEqual([2, '']);
    expect(ran.stderr).toMatch(message);
    expect(ran.stderr).not.toMatch(/\n\s+at /);
  });
});

describe('mixgate catalog check as a process', () => {
  it('the example fleet passes', async () => {
    const ran = await json(['catalog', 'check', 'examples/fleet'], ROOT);
    expect([ran.code, ran.report.findings]).toEqual([0, []]);
  });

  it('a folder of metadata without a mixgate.yaml', async () => {
    expect((await json(['catalog', 'check', 'bare'])).report.verdict).toBe('pass');
  });

  it('a bad file fails with exit 1', async () => {
    writeFileSync(join(repo.dir, 'bare/n.yaml'), 'id: x\n');
    const ran = await json(['catalog', 'check', 'bare']);
    expect([ran.code, ran.report.findings[0]!.location.file]).toEqual([1, 'n.yaml']);
  });

  it.each<[string, readonly string[], RegExp]>([
    ['a folder that is not there', ['nope'], /nope is not a folder with files/],
    ['a folder without metadata', ['empty'], /no model metadata in empty/],
    ['no folder', [], /needs DIR/],
  ])('%s: exit 2', async (_name, args, message) => {
    const ran = await runCli(['catalog', 'check', ...args], { cwd: repo.dir });
    expect([ran.code, message.test(ran.stderr)], ran.stderr).toEqual([2, true]);
  });

  it.each<[string, string, RegExp]>([
    ['malformed', 'pools: [\n', /pools\.yaml:\d+:\d+: not valid YAML/],
    ['without memory', 'pools:\n  - {id: a, cluster: b, accelerator: gpu}\n', /pools\.yaml:2:5: .*lacks the key `memory`/],
    ['with memory that is none', 'pools:\n  - {id: a, cluster: b, accelerator: gpu, memory: lots}\n', /memory is "lots"/],
    [
      'with one pool twice',
      'pools:\n  - &a {id: a, cluster: b, accelerator: gpu, memory: 1GiB}\n  - *a\n',
      /the pool a is listed twice/,
    ],
  ])('pools.yaml %s: exit 2', async (_name, content, message) => {
    using other = testRepo(catalogFiles({ 'catalog/pools.yaml': content }));
    const ran = await runCli(['catalog', 'check', '.'], { cwd: other.dir });
    expect([ran.code, message.test(ran.stderr)], ran.stderr).toEqual([2, true]);
  });
});
