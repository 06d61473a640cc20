import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT, runProcess } from '../support/cli.ts';
import { circles, type Import, importsBelow, importsOf } from './imports.ts';

const SRC = importsBelow('src');
const RUNTIME = importsBelow('reference-runtime/src');
const GATES = ['telemetry', 'policy', 'catalog', 'drift', 'canary', 'slo', 'promotion'];

/** The part of src that a file belongs to: `policy`, `core`; the two shells are `shell`. */
function part(file: string): string {
  return /^src\/(?<part>[^/]+)\//.exec(file)?.groups?.['part'] ?? (file.startsWith('src/') ? 'shell' : file);
}

function breaking(wrong: (from: string, to: string) => boolean): string[] {
  return SRC.filter(({ from, to }) => part(from) !== part(to) && wrong(part(from), part(to))).map(
    ({ from, to }) => `${from} -> ${to}`,
  );
}

describe('imports point down', () => {
  test('core and stats import nothing of ours', () =>
    expect(breaking((from) => from === 'core' || from === 'stats')).toEqual([]));
  test('reporters import core alone', () => expect(breaking((from, to) => from === 'report' && to !== 'core')).toEqual([]));
  test('gates do not import each other', () =>
    expect(breaking((from, to) => GATES.includes(from) && GATES.includes(to))).toEqual([]));
  test('only the shells import commands', () =>
    expect(breaking((from, to) => to === 'commands' && from !== 'shell' && from !== 'action')).toEqual([]));
  test('nothing imports a shell, and what gates stand on imports no gate', () =>
    expect(
      breaking((from, to) =>
        to === 'shell' || to === 'action' ? from !== 'shell' : GATES.includes(to) && !GATES.includes(from) && from !== 'commands',
      ),
    ).toEqual([]));
  test('the runtime takes pages, the WASM evaluator, threads and bounded reads, suggestions and the reader of Prometheus text from src, src nothing back', () => {
    expect(SRC.filter(({ to }) => to.startsWith('reference-runtime/'))).toEqual([]);
    const parts = new Set(RUNTIME.filter(({ to }) => to.startsWith('src/')).map(({ to }) => part(to)));
    expect([...parts].filter((name) => !['policy', 'report', 'config', 'core', 'slo'].includes(name))).toEqual([]);
  });
});

describe('no circles', () => {
  const now = ({ lazy }: Import): boolean => !lazy;
  test('in src, types included', () => expect(circles(SRC.filter(now))).toEqual([]));
  test('in the runtime, types included', () => expect(circles(RUNTIME.filter(now))).toEqual([]));
});

test('the package holds every file of src that the runtime loads', () => {
  const loads = [...RUNTIME, ...SRC].filter(({ typeOnly }) => !typeOnly);
  const needed = new Set(loads.filter(({ from }) => from.startsWith('reference-runtime/')).map(({ to }) => to));
  // A set grows while it is walked: what is loaded loads more.
  for (const file of needed) for (const { from, to } of loads) if (from === file) needed.add(to);
  const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { files: string[] };
  expect(files.filter((file) => file.startsWith('src/')).sort()).toEqual(
    [...needed].filter((file) => file.startsWith('src/')).sort(),
  );
});

test('what is bundled uses no builtin that Node 20 lacks (ES2024: Map.groupBy, Promise.withResolvers, ...)', async () => {
  // The entry of the package itself: `.bin` has a shell script on some systems.
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { code, stdout, stderr } = await runProcess(process.execPath, [tsc, '-p', 'tsconfig.src.json', '--noEmit'], {
    cwd: ROOT,
  });
  expect(`${stdout}${stderr}`).toBe('');
  expect(code).toBe(0);
});

describe('the check itself', () => {
  test('finds a circle of three, and none in a chain', () => {
    const edge = (from: string, to: string): Import => ({ from, to, typeOnly: false, lazy: false });
    expect(circles([edge('a', 'b'), edge('b', 'c'), edge('c', 'a'), edge('c', 'd')])).toEqual([['a', 'b', 'c']]);
    expect(circles([edge('a', 'b'), edge('b', 'c'), edge('a', 'c')])).toEqual([]);
  });
  test('reads every form of import', () => {
    const text = [
      "import { a } from './a.ts';",
      "import type { B } from '../b.ts';",
      "import {\n  type C,\n  type D,\n} from './c.ts';",
      "import { type E, e } from './e.ts';",
      "export { f } from './f.ts';",
      "import './g.ts';",
      "const h = await import('./h.ts');",
      "import { outside } from 'yaml';",
    ].join('\n');
    expect(importsOf('src/x/y.ts', text).map(({ to, typeOnly, lazy }) => [to, typeOnly, lazy])).toEqual([
      ['src/x/a.ts', false, false],
      ['src/b.ts', true, false],
      ['src/x/c.ts', true, false],
      ['src/x/e.ts', false, false],
      ['src/x/f.ts', false, false],
      ['src/x/g.ts', false, false],
      ['src/x/h.ts', false, true],
    ]);
  });
  test('there are imports to look at', () => expect(Math.min(SRC.length, RUNTIME.length)).toBeGreaterThan(300));
});
