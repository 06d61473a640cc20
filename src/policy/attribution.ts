import { canonicalJson, type Json } from '../core/json.ts';
import { changedFields } from './decision.ts';
import type { Definition } from './definitions.ts';
import type { Side } from './side.ts';
import type { Trace } from './tasks.ts';
import type { Outcome } from './wasm.ts';

/** Which definitions made an outcome. */
export interface Attribution {
  /** The fired definition of the entrypoint's own rule (or its default), when there is one. */
  readonly decided: Definition | undefined;
  /** Fired definitions without which the outcome would be another one: the most telling first. */
  readonly because: readonly Definition[];
  /** Every fired definition that the entrypoint reaches, outermost first. */
  readonly fired: readonly Definition[];
  /** First value of each fired definition, canonical JSON. */
  readonly values: ReadonlyMap<string, string>;
}

export interface AttributionOptions {
  /** Entrypoint to evaluate, as it is called in the module; usually the side's own. */
  readonly entrypoint: string;
  readonly input: string;
  /** Whether an outcome still shows what is to be explained. */
  readonly holds: (outcome: Outcome) => boolean;
  /**
   * Entrypoint of the decision that is judged, where `entrypoint` is another one (the check of an invariant): a cause that
   * leaves a decision near the one that was made tells more than one without which nothing is decided.
   */
  readonly decision?: string | undefined;
  /** Definitions of the other side: one that isn't there is new or changed, and tells the most. */
  readonly other?: readonly Definition[] | undefined;
}

/**
 * Explains one outcome by counterfactuals: each fired definition is switched off in turn, and those whose absence
 * changes the outcome are responsible for it (Halpern and Pearl, "Causes and Explanations", 2005, but-for causes).
 */
export async function attribute(side: Side, traced: number, options: AttributionOptions): Promise<Attribution> {
  const { input, entrypoint, holds } = options;
  const run = async (items: readonly { input: string; off?: string }[], values: boolean): Promise<readonly Trace[]> =>
    side.pool.run({ kind: 'trace', program: traced, entrypoint, items, values });
  const [plain] = await run([{ input }], true);
  const known = plain!.fired.map(([id]) => side.graph.byId.get(id)).filter((d) => d !== undefined);
  const fired = known.sort((a, b) => depthOf(side, a) - depthOf(side, b) || order(a) - order(b));
  const without = await run(
    fired.map((d) => ({ input, off: d.id })),
    false,
  );
  const responsible = fired.filter((_, index) => !holds(without[index]!.outcome));
  const departures = async (causes: readonly Definition[]): Promise<ReadonlyMap<string, number> | undefined> => {
    const { decision } = options;
    if (decision === undefined || causes.length < 2) return undefined;
    const items = [{ input }, ...causes.map((d) => ({ input, off: d.id }))];
    const [made, ...others] = await side.pool.run({ kind: 'trace', program: traced, entrypoint: decision, items, values: false });
    return new Map(causes.map((d, index) => [d.id, departure(made!.outcome, others[index]!.outcome)]));
  };
  const rules = [entrypoint, ...side.entrypoints].map((e) => e.replaceAll('/', '.'));
  // A proof evaluates a rule of its own, which asks for one of the policy's entrypoints.
  const rule = side.graph.byRule.has(rules[0]!) ? rules[0]! : (rules.find((r) => fired.some((d) => d.rule === r)) ?? rules[1]!);
  const own = fired.filter((d) => d.rule === rule);
  return {
    decided: own.at(-1) ?? (side.graph.byRule.get(rule) ?? []).find((d) => d.kind === 'default'),
    because: rankResponsible(side, responsible, options.other, await departures(responsible)),
    fired,
    values: new Map(plain!.fired),
  };
}

/**
 * How far one decision is from another: the number of members that differ; infinite where nothing is decided any more.
 * Where nothing was decided in the first place, any decision is as far as any other.
 */
function departure(made: Outcome, other: Outcome): number {
  if (!('value' in other)) return Number.POSITIVE_INFINITY;
  return 'value' in made ? changedFields(JSON.parse(made.value) as Json, JSON.parse(other.value) as Json).length : 0;
}

/**
 * New or changed definitions first; then those without which the decision stays nearest to what it was (Halpern and Pearl
 * call for minimal changes; without a part that every decision needs, any invariant holds, which says nothing about it);
 * then those with alternatives (they chose something), the deepest first.
 */
function rankResponsible(
  side: Side,
  responsible: readonly Definition[],
  other?: readonly Definition[],
  departures?: ReadonlyMap<string, number>,
): readonly Definition[] {
  const before = other === undefined ? undefined : new Set(other.map((d) => `${d.rule} ${d.text}`));
  const changed = (d: Definition): number => (before === undefined || before.has(`${d.rule} ${d.text}`) ? 1 : 0);
  const chooses = (d: Definition): number => (hasAlternatives(side, d) ? 0 : 1);
  const far = (d: Definition): number => departures?.get(d.id) ?? 0;
  const nearer = (a: Definition, b: Definition): number => (far(a) === far(b) ? 0 : far(a) < far(b) ? -1 : 1);
  return [...responsible].sort(
    (a, b) =>
      changed(a) - changed(b) ||
      nearer(a, b) ||
      chooses(a) - chooses(b) ||
      depthOf(side, b) - depthOf(side, a) ||
      order(a) - order(b),
  );
}

export function isChanged(definition: Definition, other: readonly Definition[]): boolean {
  return !other.some((d) => d.rule === definition.rule && d.text === definition.text);
}

function hasAlternatives(side: Side, definition: Definition): boolean {
  if (definition.kind === 'set' || definition.kind === 'object') return false;
  return (side.graph.byRule.get(definition.rule) ?? []).length > 1;
}

function depthOf(side: Side, definition: Definition): number {
  return side.graph.depth.get(definition.rule) ?? Number.MAX_SAFE_INTEGER;
}

function order(definition: Definition): number {
  return Number(definition.id.slice(1));
}

/** `routing/decision.rego:31` and the rule's name, for evidence and tables. */
export function describeDefinition(definition: Definition): {
  readonly rule: string;
  readonly file: string;
  readonly line: number;
  readonly text: string;
} {
  return {
    rule: definition.rule,
    file: definition.location.file,
    line: definition.location.line ?? 1,
    text: definition.text.slice(0, 200),
  };
}

export function sameOutcome(a: Outcome, b: Outcome): boolean {
  if ('value' in a && 'value' in b)
    return a.value === b.value || canonicalJson(JSON.parse(a.value) as Json) === canonicalJson(JSON.parse(b.value) as Json);
  if ('failure' in a && 'failure' in b) return a.failure.kind === b.failure.kind;
  return 'undefined' in a && 'undefined' in b;
}
