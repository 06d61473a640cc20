import { type AstExpression, isTerm } from './ast.ts';
import type { Definition, Graph } from './definitions.ts';

/**
 * Pairs of definitions whose agreement on an input would be an accident: of one complete rule, in no common else chain,
 * with different bodies. Two definitions in one file with the same value are a declared "or", and so are booleans
 * anywhere; functions are left out, since they may have fired for different arguments.
 */
export function overlapCandidates(graph: Graph): ReadonlyMap<string, ReadonlySet<string>> {
  const pairs = new Map<string, Set<string>>();
  for (const definitions of graph.byRule.values()) {
    const candidates = definitions.filter((d) => d.kind === 'complete' && !d.fact && typeof d.literal !== 'boolean');
    for (const [index, b] of candidates.entries()) {
      for (const a of candidates.slice(0, index)) {
        if (b.chain.includes(a.id) || tidy(a.body) === tidy(b.body)) continue;
        if (a.file === b.file && headText(a) === headText(b)) continue;
        for (const [one, other] of [
          [a.id, b.id],
          [b.id, a.id],
        ] as const)
          pairs.set(one, (pairs.get(one) ?? new Set()).add(other));
      }
    }
  }
  return pairs;
}

/**
 * Definitions of complete rules whose body tests the input and nothing but the input: if it always holds, that says
 * something about the rule. A condition on the data document is a switch, and one that only binds variables is none.
 */
export function constantCandidates(definitions: readonly Definition[], graph: Graph): ReadonlySet<string> {
  const found = new Set<string>();
  for (const d of definitions) {
    if (d.kind !== 'complete' || d.fact || d.takesArguments || !d.ast.body.some(isTest)) continue;
    const all = withReferred(d, graph);
    if (all?.some((one) => /\binput\b/.test(one.text)) === true) found.add(d.id);
  }
  return found;
}

/** The definition and those it refers to, directly or not; undefined when one of them reads the data document. */
function withReferred(d: Definition, graph: Graph): readonly Definition[] | undefined {
  const seen = new Set<string>();
  const all: Definition[] = [];
  const queue: Definition[] = [d];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    all.push(next);
    for (const ref of next.refs) {
      const steps = ref.split('.');
      const rule = steps.map((_, index) => steps.slice(0, index + 1).join('.')).find((path) => graph.byRule.has(path));
      if (rule === undefined) return undefined;
      if (seen.has(rule)) continue;
      seen.add(rule);
      queue.push(...graph.byRule.get(rule)!);
    }
  }
  return all;
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
