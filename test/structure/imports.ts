import { globSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import { ROOT } from '../support/cli.ts';

export interface Import {
  /** Path from the root of the repository. */
  readonly from: string;
  readonly to: string;
  /** `import type`, or only types in the braces. */
  readonly typeOnly: boolean;
  /** `import()`: loaded when it is needed. */
  readonly lazy: boolean;
}

const STATIC = /^(?:import|export)\s+(?<type>type\s+)?(?:(?<names>[^;'"]*?)\s+from\s+)?['"](?<path>\.[^'"]*)['"]/gm;
const DYNAMIC = /\bimport\(\s*['"](?<path>\.[^'"]*)['"]\s*\)/g;

/** Every relative import of the TypeScript files below a folder. */
export function importsBelow(folder: string): readonly Import[] {
  return globSync(`${folder}/**/*.ts`, { cwd: ROOT })
    .map((file) => file.split(sep).join('/'))
    .sort()
    .flatMap((from) => importsOf(from, readFileSync(join(ROOT, from), 'utf8')));
}

export function importsOf(from: string, text: string): readonly Import[] {
  const target = (path: string): string =>
    posix.normalize(
      relative(ROOT, join(ROOT, dirname(from), path))
        .split(sep)
        .join('/'),
    );
  const fixed = [...text.matchAll(STATIC)].map(({ groups }) => {
    const names = /^\{(?<inside>[^}]*)\}$/.exec(groups!['names']?.trim() ?? '')?.groups?.['inside'];
    const each = (names ?? '').split(',').filter((name) => name.trim() !== '');
    const types = each.length > 0 && each.every((name) => /^\s*type\s/.test(name));
    return { from, to: target(groups!['path']!), typeOnly: groups!['type'] !== undefined || types, lazy: false };
  });
  const lazy = [...text.matchAll(DYNAMIC)].map(({ groups }) => ({
    from,
    to: target(groups!['path']!),
    typeOnly: false,
    lazy: true,
  }));
  return [...fixed, ...lazy];
}

/** Groups of files that import each other in a circle (strongly connected components, Tarjan 1972). */
export function circles(imports: readonly Import[]): readonly (readonly string[])[] {
  const next = new Map<string, string[]>();
  for (const { from, to } of imports) next.set(from, [...(next.get(from) ?? []), to]);
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): void => {
    index.set(file, index.size);
    low.set(file, index.get(file)!);
    stack.push(file);
    for (const to of next.get(file) ?? []) {
      if (!index.has(to)) {
        visit(to);
        low.set(file, Math.min(low.get(file)!, low.get(to)!));
      } else if (stack.includes(to)) low.set(file, Math.min(low.get(file)!, index.get(to)!));
    }
    if (low.get(file) !== index.get(file)) return;
    const group = stack.splice(stack.indexOf(file)).sort();
    if (group.length > 1 || (next.get(file) ?? []).includes(file)) found.push(group);
  };
  for (const file of next.keys()) if (!index.has(file)) visit(file);
  return found;
}
