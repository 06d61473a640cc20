import type { JsonObject } from '../core/json.ts';
import type { Modules } from '../rego/source.ts';
import { type AstModule, type AstTerm, sourceText, walkTerms } from './ast.ts';
import { applyEdits, type Edit, offsetOf } from './edits.ts';

/** A module, and where its names of packages and data start: what a copy under another root has to change. */
interface Relocatable {
  readonly source: string;
  /** Place of the package's first name. */
  readonly packageAt: number;
  /** Places behind each `data`. */
  readonly dataAt: readonly number[];
}

export type Relocations = ReadonlyMap<string, Relocatable>;

/**
 * Finds what has to change so that modules can stand beside themselves under another root: `package routing` becomes
 * `package m7.routing`, `data.fleet` becomes `data.m7.fleet`. One OPA process then checks, tests or compiles many
 * variants of a policy. Undefined when a module has a shape that isn't known.
 */
export function relocationsOf(modules: Modules, asts: ReadonlyMap<string, AstModule>): Relocations | undefined {
  const result = new Map<string, Relocatable>();
  for (const [path, source] of modules) {
    const ast = asts.get(path);
    const start = ast?.package.location === undefined ? undefined : offsetOf(source, ast.package.location);
    const keyword = start === undefined ? null : /^package\s+/.exec(source.slice(start, start + 1000));
    if (ast === undefined || start === undefined || keyword === null) return undefined;
    const dataAt = new Set<number>();
    let known = true;
    const visit = (term: AstTerm): void => {
      if (term.type !== 'var' || term.value !== 'data') return;
      const offset = term.location === undefined ? undefined : offsetOf(source, term.location);
      if (offset === undefined || sourceText(term.location) !== 'data' || !source.startsWith('data', offset)) known = false;
      else dataAt.add(offset + 'data'.length);
    };
    walkTerms([ast.imports, ast.rules], visit);
    if (!known) return undefined;
    result.set(path, { source, packageAt: start + keyword[0].length, dataAt: [...dataAt] });
  }
  return result;
}

/** The modules below `root` (`m7`), at `m7/<path>`, each with its edits. */
export function copyUnder(
  root: string,
  relocations: Relocations,
  edits: ReadonlyMap<string, readonly Edit[]> = new Map(),
): Modules {
  const copies = new Map<string, string>();
  for (const [path, { source, packageAt, dataAt }] of relocations) {
    copies.set(
      `${root}/${path}`,
      applyEdits(source, [
        { offset: packageAt, text: `${root}.` },
        ...dataAt.map((offset) => ({ offset, text: `.${root}` })),
        ...(edits.get(path) ?? []),
      ]),
    );
  }
  return copies;
}

/** The data document, once under each root. */
export function dataUnder(roots: readonly string[], data: JsonObject): JsonObject {
  return Object.fromEntries(roots.map((root) => [root, data]));
}
