import type { Location } from '../core/finding.ts';
import type { Json } from '../core/json.ts';
import { append, groupBy } from '../core/multimap.ts';
import {
  type AstLocation,
  type AstModule,
  type AstRule,
  type AstTerm,
  locationOf,
  refPath,
  sourceText,
  walkTerms,
} from './ast.ts';

/** One way a rule can come true: a definition, or a link of an else chain. */
export interface Definition {
  /** `r<n>`, in order of file and line. */
  readonly id: string;
  /** `routing.decision` */
  readonly rule: string;
  readonly package: string;
  readonly kind: 'complete' | 'set' | 'object' | 'function' | 'default';
  /** The rule takes arguments (also true of a function's default). */
  readonly takesArguments: boolean;
  readonly location: Location;
  /** Source of this link alone, white space collapsed: what tells a changed rule from a moved one. */
  readonly text: string;
  /** Ids of the links before it in its else chain. */
  readonly chain: readonly string[];
  /** No body was written: it always holds. */
  readonly fact: boolean;
  /** Source of the body. */
  readonly body: string;
  /** The head's value when it is a literal. */
  readonly literal?: Json;
  /** Data paths that head and body refer to, as dotted text, longest constant prefix. */
  readonly refs: readonly string[];
  readonly ast: AstRule;
  readonly file: string;
}

/** Every definition of the modules, and the order of rules. */
export function definitionsOf(asts: ReadonlyMap<string, AstModule>): readonly Definition[] {
  const found: Omit<Definition, 'id'>[] = [];
  const chains: number[][] = [];
  const packages = new Map<string, Set<string>>();
  for (const ast of asts.values()) {
    const name = packageName(ast);
    const names = packages.get(name) ?? new Set<string>();
    packages.set(name, names);
    for (const rule of ast.rules ?? []) names.add(String(rule.head.ref[0]?.value));
  }
  for (const [file, ast] of asts) {
    const owner = packageName(ast);
    const scope = importsOf(ast);
    for (const rule of ast.rules ?? []) {
      const path = rulePath(owner, rule.head.ref);
      const kind = kindOf(rule);
      const chain: number[] = [];
      for (let link: AstRule | undefined = rule; link !== undefined; link = link.else) {
        const own = ownText(link);
        const { fact, body } = splitBody(link);
        const parts: unknown[] = [link.head.value, link.head.key, link.head.args, link.body, link.head.ref.slice(1)];
        found.push({
          rule: path,
          package: owner,
          kind,
          takesArguments: (rule.head.args?.length ?? 0) > 0,
          location: { ...locationOf({ ...link.location, text: Buffer.from(own, 'utf8').toString('base64') }, file) },
          text: own.replace(/\s+/g, ' ').trim(),
          chain: [],
          fact,
          body,
          ...literalOf(link.head.value),
          refs: refsIn(parts, owner, scope, packages),
          ast: link,
          file,
        });
        chains.push([...chain]);
        chain.push(found.length - 1);
      }
    }
  }
  return found.map((definition, index) => ({ ...definition, id: `r${index}`, chain: chains[index]!.map((i) => `r${i}`) }));
}

export function packageName(ast: AstModule): string {
  return ast.package.path
    .slice(1)
    .map((term) => String(term.value))
    .join('.');
}

function rulePath(owner: string, ref: readonly AstTerm[]): string {
  const names = [owner];
  for (const [index, term] of ref.entries()) {
    if (index > 0 && term.type !== 'string') break;
    names.push(String(term.value));
  }
  return names.join('.');
}

function kindOf(rule: AstRule): Definition['kind'] {
  if (rule.default === true) return 'default';
  if (rule.head.args !== undefined && rule.head.args.length > 0) return 'function';
  if (rule.head.key !== undefined && rule.head.value === undefined) return 'set';
  if (rule.head.ref.slice(1).some((term) => term.type !== 'string') || rule.head.key !== undefined) return 'object';
  return 'complete';
}

/** A link's own source: OPA's text spans the whole else chain. */
export function ownText(rule: AstRule): string {
  const text = sourceText(rule.location) ?? '';
  if (rule.default === true)
    return sourceText(rule.head.location) === undefined ? text : `default ${sourceText(rule.head.location)!}`;
  const nested = rule.else === undefined ? undefined : sourceText(rule.else.location);
  if (nested === undefined) return text;
  const at = text.lastIndexOf(nested);
  return at < 0 ? text : withoutTrailingComments(text.slice(0, at), rule);
}

/** Between a link and the `else` behind it comments may stand; they belong to neither. */
function withoutTrailingComments(text: string, rule: AstRule): string {
  const end = Math.max(
    sourceText(rule.head.location)?.length ?? 0,
    ...rule.body.map((e) => endWithin(text, rule.location, e.location)),
  );
  // Behind the last expression there are no strings, so every `#` starts a comment.
  const tail = text.slice(end).split('\n');
  while (tail.length > 0 && tail.at(-1)!.replace(/#.*$/, '').trim() === '') tail.pop();
  if (tail.length > 0) tail.push(tail.pop()!.replace(/#.*$/, ''));
  return (text.slice(0, end) + tail.join('\n')).trimEnd();
}

/** Where a node ends in the text of the node around it, in code units; 0 for a place outside (a generated body). */
function endWithin(text: string, outer: AstLocation, inner: AstLocation | undefined): number {
  const own = sourceText(inner);
  if (inner === undefined || own === undefined) return 0;
  const lines = text.split('\n');
  const line = lines[inner.row - outer.row];
  const column = inner.row === outer.row ? inner.col - outer.col : inner.col - 1;
  if (line === undefined || column < 0) return 0;
  const before = lines.slice(0, inner.row - outer.row).reduce((sum, one) => sum + one.length + 1, 0);
  const start = before + [...line].slice(0, column).join('').length;
  return text.startsWith(own, start) ? start + own.length : 0;
}

/** Head and body of a link, cut from its source. */
export function splitBody(rule: AstRule): { readonly fact: boolean; readonly body: string; readonly bodyOffset: number } {
  const text = ownText(rule);
  const head = sourceText(rule.head.location) ?? '';
  if (rule.default === true || !text.startsWith(head)) return { fact: true, body: '', bodyOffset: text.length };
  const match = /^(?:\s|#[^\n]*\n)*if\b\s*/.exec(text.slice(head.length));
  if (match === null) return { fact: true, body: '', bodyOffset: text.length };
  const bodyOffset = head.length + match[0].length;
  return { fact: false, body: text.slice(bodyOffset).trim(), bodyOffset };
}

function literalOf(value: AstTerm | undefined): { literal?: Json } {
  if (value === undefined) return {};
  const literal = constant(value);
  return literal === undefined ? {} : { literal };
}

/** The JSON value of a term that holds no variable; sets and comprehensions don't count. */
export function constant(term: AstTerm): Json | undefined {
  switch (term.type) {
    case 'null':
      return null;
    case 'boolean':
    case 'number':
    case 'string':
      return term.value as Json;
    case 'array': {
      const items = (term.value as AstTerm[]).map(constant);
      return items.includes(undefined) ? undefined : (items as Json[]);
    }
    case 'object': {
      const result: Record<string, Json> = {};
      for (const [key, value] of term.value as [AstTerm, AstTerm][]) {
        const v = constant(value);
        if (key.type !== 'string' || v === undefined) return undefined;
        result[String(key.value)] = v;
      }
      return result;
    }
    default:
      return undefined;
  }
}

/** What each name at the top of a module stands for. */
export function importsOf(ast: AstModule): ReadonlyMap<string, readonly string[]> {
  const scope = new Map<string, readonly string[]>();
  for (const { path, alias } of ast.imports ?? []) {
    const ref = refPath(path);
    if (ref === undefined) continue;
    const full = [ref.head, ...ref.path];
    scope.set(alias ?? full.at(-1)!, full);
  }
  return scope;
}

function refsIn(
  parts: readonly unknown[],
  owner: string,
  scope: ReadonlyMap<string, readonly string[]>,
  packages: ReadonlyMap<string, ReadonlySet<string>>,
): readonly string[] {
  const refs = new Set<string>();
  // The variable that a reference starts with is a term below it: alone, `data` would stand for every rule there is.
  const starts = new Set<unknown>();
  walkTerms(parts, (term) => {
    if (term.type === 'ref' && Array.isArray(term.value)) starts.add(term.value[0]);
    const ref = starts.has(term) ? undefined : refPath(term);
    if (ref === undefined) return;
    const imported = scope.get(ref.head);
    if (ref.head === 'data') refs.add(ref.path.join('.'));
    else if (imported?.[0] === 'data') refs.add([...imported.slice(1), ...ref.path].join('.'));
    else if (packages.get(owner)?.has(ref.head) === true) refs.add([owner, ref.head, ...ref.path].join('.'));
  });
  return [...refs].sort();
}

/** Whether a reference to the data path `ref` may reach the rule: one is a prefix of the other. */
export function reaches(ref: string, rule: string): boolean {
  return ref === rule || ref === '' || rule.startsWith(`${ref}.`) || ref.startsWith(`${rule}.`);
}

export interface Graph {
  readonly byId: ReadonlyMap<string, Definition>;
  readonly byRule: ReadonlyMap<string, readonly Definition[]>;
  /** Distance of each reachable rule from the entrypoints. */
  readonly depth: ReadonlyMap<string, number>;
}

/** Which rules the entrypoints (`package/rule`) can reach, over-approximated: dynamic references reach all they might. */
export function graphOf(definitions: readonly Definition[], entrypoints: readonly string[]): Graph {
  const byRule = groupBy(definitions, (d) => d.rule);
  const depth = new Map<string, number>();
  const queue: string[] = [];
  const below = rulesBelow(byRule.keys());
  const visit = (ref: string, distance: number): void => {
    const steps = ref.split('.');
    const above = steps.map((_, index) => steps.slice(0, index + 1).join('.')).filter((path) => byRule.has(path));
    for (const rule of [...above, ...(below.get(ref) ?? [])]) {
      if (depth.has(rule)) continue;
      depth.set(rule, distance);
      queue.push(rule);
    }
  };
  for (const entrypoint of entrypoints) visit(entrypoint.replaceAll('/', '.'), 0);
  const seen = new Set<string>();
  for (let next = 0; next < queue.length; next += 1) {
    const rule = queue[next]!;
    for (const d of byRule.get(rule)!) {
      for (const ref of d.refs) {
        if (seen.has(ref)) continue;
        seen.add(ref);
        visit(ref, depth.get(rule)! + 1);
      }
    }
  }
  return { byId: new Map(definitions.map((d) => [d.id, d])), byRule, depth };
}

/** Rules by each path that they lie below; all of them below the empty one. What `reaches` tells of a pair, for many. */
function rulesBelow(rules: Iterable<string>): ReadonlyMap<string, readonly string[]> {
  const below = new Map<string, string[]>([['', []]]);
  for (const rule of rules) {
    below.get('')!.push(rule);
    for (let dot = rule.indexOf('.'); dot >= 0; dot = rule.indexOf('.', dot + 1)) {
      const path = rule.slice(0, dot);
      append(below, path, rule);
    }
  }
  return below;
}
