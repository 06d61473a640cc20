import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { type CommandSpec, parseCommandLine } from '../../src/commands/framework.ts';
import { loadCommands } from '../../src/commands/index.ts';
import type { RuleInfo } from '../../src/core/rules.ts';
import { ROOT } from '../support/cli.ts';
import { anchors, commandLines, links, pages, words } from './support.ts';

const HEADINGS = ['Summary', 'Why it matters', 'Example', 'How to fix', 'Configuration'];
/** Rules that no gate owns: src/commands/gates.ts, src/commands/config-edits.ts, src/action/failure.ts, src/core/waiver.ts. */
const CORE_RULES = ['input-invalid', 'gate-changed', 'gate-error', 'waiver-expired', 'waiver-unused'];

async function ruleIds(): Promise<string[]> {
  const files = globSync('src/**/rules.ts', { cwd: ROOT }).filter((file) => file !== join('src', 'core', 'rules.ts'));
  const lists = await Promise.all(
    files.map(async (file) => {
      const module = (await import(pathToFileURL(join(ROOT, file)).href)) as { readonly [name: string]: unknown };
      const list = Object.entries(module).find(([name]) => /RULES$/.test(name))?.[1] as readonly RuleInfo[] | undefined;
      if (list === undefined) throw new Error(`${file} exports no list of rules`);
      return list.map(({ id }) => id);
    }),
  );
  return [...lists.flat(), ...CORE_RULES].sort();
}

const all = pages();
const commands = await loadCommands();
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');

test('every rule has a page, every page a rule, and no id is listed twice', async () => {
  const documented = globSync('docs/rules/*.md', { cwd: ROOT }).map((file) => file.replace(/^.*[\\/]|\.md$/g, ''));
  const ids = await ruleIds();
  expect(ids.length).toBeGreaterThan(CORE_RULES.length);
  expect(documented.filter((id) => id !== 'README').sort()).toEqual(ids);
});

test('every rule page has its id as title, the fixed headings in order, and something below each', () => {
  const faults = all
    .filter(({ file }) => /^docs[\\/]rules[\\/]/.test(file))
    .filter(({ file, text }) => {
      const id = file.replace(/^.*[\\/]|\.md$/g, '');
      const [title, ...sections] = text.split(/^## /m);
      const names = sections.map((section) => section.split('\n', 1)[0]);
      const empty = sections.some((section) => section.split('\n').slice(1).join('').trim() === '');
      return title?.trim() !== `# ${id}` || names.join('|') !== HEADINGS.join('|') || empty;
    })
    .map(({ file }) => file);
  expect(faults).toEqual([]);
});

test('relative links lead to a file, and their anchors to a heading', () => {
  const broken = all.flatMap(({ file, text }) =>
    links(text)
      .filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target))
      .filter((target) => {
        const [path, anchor] = target.split('#') as [string, string | undefined];
        const to = path === '' ? join(ROOT, file) : join(ROOT, dirname(file), decodeURIComponent(path));
        if (!existsSync(to)) return true;
        if (anchor === undefined || statSync(to).isDirectory()) return false;
        return !anchors(readFileSync(to, 'utf8')).includes(anchor);
      })
      .map((target) => `${file}: ${target}`),
  );
  expect(broken).toEqual([]);
});

test('every mixgate command line that a page shows is one that mixgate takes', () => {
  const shown = all.flatMap(({ file, text }) => commandLines(text, 'mixgate').map((line) => ({ file, line })));
  const faults = shown.flatMap(({ file, line }) => {
    // The first line of a report looks like a command: `mixgate check   PASS   no findings`.
    if (/ (?:PASS|WARN|FAIL|INCONCLUSIVE|ERROR) {3}/.test(line)) return [];
    const fault = faultOf(line);
    return fault === undefined ? [] : [`${file}: ${line}: ${fault}`];
  });
  expect(shown.length).toBeGreaterThan(30);
  expect(faults).toEqual([]);
});

test.each(['mixgate chek', 'mixgate check --bass main', 'mixgate promote', 'mixgate drift compare live/us-east.yaml'])(
  'a wrong command line is found: %s',
  (line) => expect(faultOf(line)).toBeDefined(),
);

test('every mixgate-runtime command line that a page shows names a verb', () => {
  const shown = all.flatMap(({ text }) => commandLines(text, 'mixgate-runtime'));
  expect(shown.length).toBeGreaterThan(0);
  expect(shown.filter((line) => !/^mixgate-runtime (?:serve|trace|evaluate|variant) /.test(line))).toEqual([]);
});

test('the examples in the help of every command are command lines that mixgate takes', () => {
  const examples = (list: readonly CommandSpec[]): string[] =>
    list.flatMap((command) => [
      ...(command.examples ?? []).map((example) => example.command),
      ...examples(command.subcommands ?? []),
    ]);
  expect(examples(commands).length).toBeGreaterThan(20);
  expect(examples(commands).filter((line) => faultOf(line) !== undefined)).toEqual([]);
});

test('README lists the commands as --help does', () => {
  const rows = [...readme.matchAll(/^\| `(?<name>[a-z]+)` +\| (?<summary>.*?) *\|$/gm)].map(({ groups }) => [
    groups!['name'],
    groups!['summary'],
  ]);
  const names = new Set(commands.map(({ name }) => name));
  expect(rows.filter(([name]) => names.has(name!))).toEqual(commands.map(({ name, summary }) => [name, summary]));
});

test('README shows a workflow, and the pins of docs/action.md', () => {
  const pins = (text: string): string[] =>
    [...text.matchAll(/uses: (?<use>\S+@[0-9a-f]{40} # \S+)/g)].map((m) => m.groups!['use']!);
  const guide = readFileSync(join(ROOT, 'docs/action.md'), 'utf8');
  expect(pins(readme).length).toBeGreaterThan(0);
  expect(pins(readme)).toEqual(pins(guide));
});

test('every decision has a number of its own, date, status, context, decision and consequences, and is in the index', () => {
  const decisions = all.filter(({ file }) => /^docs[\\/]decisions[\\/]\d{4}-/.test(file));
  const numbers = decisions.map(({ file }) => /(?<number>\d{4})-/.exec(file)!.groups!['number']!);
  const index = readFileSync(join(ROOT, 'docs/decisions/README.md'), 'utf8');
  expect(new Set(numbers).size).toBe(numbers.length);
  const faults = decisions.filter(({ file, text }, position) => {
    const headings = [...text.matchAll(/^## (?<name>.+)$/gm)].map((match) => match.groups!['name']);
    return (
      !text.startsWith(`# ${numbers[position]}. `) ||
      !/^Date: \d{4}-\d\d-\d\d\. Status: \S/m.test(text) ||
      !['Context', 'Decision', 'Consequences'].every((name) => headings.includes(name)) ||
      !index.includes(`](${file.replace(/^.*[\\/]/, '')})`)
    );
  });
  expect(faults.map(({ file }) => file)).toEqual([]);
});

test('no page names a path of one machine', () => {
  const pattern = /(?:^|[\s`"'(])(?:\/work\/|\/root\/|\/home\/(?!runner)|\/tmp\/)/m;
  expect(all.filter(({ text }) => pattern.test(text)).map(({ file }) => file)).toEqual([]);
});

/** The message of the parser, when it refuses the line. */
function faultOf(line: string): string | undefined {
  try {
    parseCommandLine(commands, words(line));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
