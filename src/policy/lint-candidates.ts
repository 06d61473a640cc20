import { append } from '../core/multimap.ts';
import { type AstExpression, isTerm } from './ast.ts';
import type { Definition, Graph } from './definitions.ts';

/** Whether two definitions of one rule only agree by accident where they agree. */
export type MayOverlap = (a: Definition, b: Definition) => boolean;

/**
 * Tells pairs of definitions whose agreement on an input would be an accident: of one complete rule, in no common else
 * chain, with different bodies. Two definitions in one file with the same value are a declared "or", and so are booleans
 * anywhere; functions are left out, since they may have fired for different arguments. Pairs are asked for as they come
 * up: a rule of ten thousand definitions has fifty million of them.
 */
export function overlapCandidates(): MayOverlap {
  const texts = new Map<Definition, { readonly body: string; readonly head: string }>();
  const textsOf = (d: Definition): { readonly body: string; readonly head: string } => {
    const known = texts.get(d) ?? { body: tidy(d.body), head: headText(d) };
    texts.set(d, known);
    return known;
  };
  const candidate = (d: Definition): boolean => d.kind === 'complete' && !d.fact && typeof d.literal !== 'boolean';
  return (a, b) => {
    if (a.rule !== b.rule || !candidate(a) || !candidate(b) || a.chain.includes(b.id) || b.chain.includes(a.id)) return false;
    const [one, other] = [textsOf(a), textsOf(b)];
    return one.body !== other.body && (a.file !== b.file || one.head !== other.head);
  };
}

/**
 * Definitions of complete rules whose body tests the input and nothing but the input: if it always holds, that says
 * something about the rule. A condition on the data document is a switch, and one that only binds variables is none.
 */
export function constantCandidates(definitions: readonly Definition[], graph: Graph): ReadonlySet<string> {
  const reads = readsOf(graph);
  const found = new Set<string>();
  for (const d of definitions) {
    if (d.kind !== 'complete' || d.fact || d.takesArguments || !d.ast.body.some(isTest)) continue;
    const refs = d.refs.map((ref) => ruleOf(ref, graph));
    const all = refs.map((rule) => (rule === undefined ? undefined : reads.get(rule)));
    if (all.some((one) => one === undefined || one.data)) continue;
    if (readsInput(d) || all.some((one) => one!.input)) found.add(d.id);
  }
  return found;
}

interface Reads {
  input: boolean;
  /** Also reads a path that is no rule: the data document. */
  data: boolean;
}

/** What each rule reads, by itself or by the rules that it refers to. */
function readsOf(graph: Graph): ReadonlyMap<string, Reads> {
  const reads = new Map<string, Reads>();
  const users = new Map<string, string[]>();
  for (const [rule, definitions] of graph.byRule) {
    const refs = new Set(definitions.flatMap((d) => d.refs).map((ref) => ruleOf(ref, graph)));
    reads.set(rule, { input: definitions.some(readsInput), data: refs.has(undefined) });
    for (const ref of refs) {
      if (ref === undefined) continue;
      append(users, ref, rule);
    }
  }
  // Each rule passes on what it reads, each of the two things at most once.
  for (const what of ['input', 'data'] as const) {
    const queue = [...reads].filter(([, own]) => own[what]).map(([rule]) => rule);
    for (let rule = queue.pop(); rule !== undefined; rule = queue.pop()) {
      for (const user of users.get(rule) ?? []) {
        const its = reads.get(user)!;
        if (its[what]) continue;
        its[what] = true;
        queue.push(user);
      }
    }
  }
  return reads;
}

/** The rule that a reference starts with. */
function ruleOf(ref: string, graph: Graph): string | undefined {
  const steps = ref.split('.');
  return steps.map((_, index) => steps.slice(0, index + 1).join('.')).find((path) => graph.byRule.has(path));
}

function readsInput(d: Definition): boolean {
  return /\binput\b/.test(d.text);
}

/** Whether an expression can be false for a reason of its own: not a declaration, an assignment or a unification. */
function isTest(expression: AstExpression): boolean {
  if (expression.negated === true) return true;
  const { terms } = expression;
  if (!Array.isArray(terms)) return isTerm(terms) && terms.type !== 'boolean';
  const operator: unknown = isTerm(terms[0]) ? terms[0].value : undefined;
  const name = Array.isArray(operator) && isTerm(operator[0]) ? String(operator[0].value) : '';
  return name !== 'assign' && name !== 'eq';
}

function headText(d: Definition): string {
  return tidy(d.body === '' ? d.text : d.text.slice(0, Math.max(0, d.text.length - tidy(d.body).length)))
    .replace(/^else\b/, d.rule.slice(d.package.length + 1))
    .replace(/ if$/, '');
}

/** Source without comments, white space collapsed. */
export function tidy(body: string): string {
  return body
    .replaceAll(/#[^\n]*/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
