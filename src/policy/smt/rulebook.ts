import type { Json } from '../../core/json.ts';
import { append } from '../../core/multimap.ts';
import type { AstModule } from '../ast.ts';
import { type Definition, importsOf } from '../definitions.ts';

/** The rules that an expression can refer to, and what the names of a module stand for. */
export interface RuleBook {
  readonly byRule: ReadonlyMap<string, readonly Definition[]>;
  readonly byId: ReadonlyMap<string, Definition>;
  readonly imports: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;
  readonly data: Json;
  /** Whether rules lie below a data path. */
  isPackage(path: string): boolean;
  /** Whether a rule of that package begins with the name. */
  owns(owner: string, name: string): boolean;
}

/** The rules of these modules. */
export function ruleBook(asts: ReadonlyMap<string, AstModule>, definitions: readonly Definition[], data: Json): RuleBook {
  const byRule = new Map<string, Definition[]>();
  const prefixes = new Set<string>(['']);
  const owned = new Set<string>();
  for (const definition of definitions) {
    append(byRule, definition.rule, definition);
    owned.add(`${definition.package} ${definition.rule.slice(definition.package.length + 1).split('.')[0]!}`);
    const steps = definition.rule.split('.');
    for (let i = 1; i < steps.length; i += 1) prefixes.add(steps.slice(0, i).join('.'));
  }
  return {
    byRule,
    byId: new Map(definitions.map((d) => [d.id, d])),
    imports: new Map([...asts].map(([file, ast]) => [file, importsOf(ast)])),
    data,
    isPackage: (path) => prefixes.has(path),
    owns: (owner, name) => owned.has(`${owner} ${name}`),
  };
}

/** What a name at the head of a reference stands for, where it is no local variable: the steps from `data` or `input`. */
export function resolveName(book: RuleBook, scope: { readonly file: string; readonly package: string }, name: string) {
  if (name === 'data' || name === 'input') return [name];
  if (book.owns(scope.package, name)) return ['data', ...scope.package.split('.'), name];
  return book.imports.get(scope.file)?.get(name);
}
