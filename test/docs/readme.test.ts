import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sampleFiles } from '../../scripts/samples.ts';
import { ROOT, runCli } from '../support/cli.ts';

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const FLEET = join(ROOT, 'examples/fleet');
/** The commands of "By task" that run in the example fleet, as arguments. */
const lines = [
  ...readme
    .slice(readme.indexOf('## By task'), readme.indexOf('### Run the reference runtime'))
    .matchAll(/^ {4}mixgate (?<line>.+)$/gm),
].map(({ groups }) => groups!['line']!.replace(/ +#.*/, ''));

test('every file that the commands of README read is there, or is called YOURS', () => {
  const named = lines.flatMap((line) =>
    [...line.matchAll(/(?<= )(?<file>[\w./-]+\.(?:csv|gguf|json|ndjson|prom|yaml))(?= |$)/g)].map(
      ({ groups }) => groups!['file']!,
    ),
  );
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((file) => !file.startsWith('YOUR') && !existsSync(join(FLEET, file)))).toEqual([]);
});

test('the sample files are what scripts/samples.ts writes', () => {
  for (const [name, content] of sampleFiles())
    expect(readFileSync(join(ROOT, 'examples/samples', name), 'utf8') === content, name).toBe(true);
});

test.each([
  ['canary judge --baseline ../samples/baseline.csv', 1, 'ttft_ms (de): worse by'],
  ['canary judge --batch ../samples/cases.ndjson', 0, '"id":"errors","verdict":"fail"'],
  ['slo gate --samples ../samples/metrics.prom', 0, '1 / 124'],
  ['slo backtest slo --samples ../samples/night.ndjson', 0, '100 %       100 %'],
])('%s ... answers as README says', async (start, code, words) => {
  const line = lines.find((each) => each.startsWith(start));
  expect(line).toBeDefined();
  const ran = await runCli([...line!.split(' '), '--quiet'], { cwd: FLEET });
  expect([ran.code, ran.stderr]).toEqual([code, '']);
  expect(ran.stdout).toContain(words);
});

test('the burn rates that README shows are those of the sample', async () => {
  const shown = /```\n(?<table> {2}SLO {12}Target[\s\S]*?)```/.exec(readme)!.groups!['table']!;
  const ran = await runCli(['slo', 'gate', '--samples', '../samples/metrics.prom', '--canary', '--quiet'], { cwd: FLEET });
  expect(ran.stdout).toContain(shown);
});
