import { digestJson, isObject, type Json } from '../core/json.ts';
import { compareText } from '../core/text.ts';
import { type Attribution, attribute, sameOutcome } from './attribution.ts';
import { withData } from './compile.ts';
import type { ReplayInput } from './corpus.ts';
import { classify, DIFF_CLASSES, type DiffClass, decisionOf, jurisdictionOf } from './decision.ts';
import { type Side, tracedProgram } from './side.ts';
import type { EvaluationFailure, Outcome } from './wasm.ts';

/** What made a decision change: the Rego, the data document, or only both together. */
export type Cause = 'policy' | 'data' | 'both';

export interface DiffGroup {
  readonly class: DiffClass;
  readonly count: number;
  /** Summed weight of its inputs. */
  readonly weight: number;
  /** Share of all replayed weight, 0..1. */
  readonly share: number;
  readonly causes: { readonly [C in Cause]: number };
  /** Members of the decision that changed, and `jurisdiction` when the target's jurisdiction did. */
  readonly fields: readonly string[];
  /** Rule ids of base and head decisions, most frequent first, `base → head`. */
  readonly transitions: readonly { readonly from: string; readonly to: string; readonly count: number }[];
  readonly example: DiffExample;
}
export interface DiffExample {
  readonly input: Json;
  readonly line: number;
  readonly cause: Cause;
  readonly base: DiffSide;
  readonly head: DiffSide;
}
export interface DiffSide {
  readonly decision: Json | undefined;
  readonly failure: EvaluationFailure | undefined;
  readonly jurisdiction: string | undefined;
  readonly attribution: Attribution | undefined;
}
export interface DecisionDiff {
  readonly entrypoint: string;
  readonly replayed: number;
  readonly weight: number;
  readonly changed: number;
  /** Worst class first; empty when every decision is the same. */
  readonly groups: readonly DiffGroup[];
  readonly seconds: number;
}

/** Evaluates base and head on the same inputs and groups what changed. */
export async function decisionDiff(
  base: Side,
  head: Side,
  entrypoint: string,
  inputs: readonly ReplayInput[],
): Promise<DecisionDiff> {
  const { pool } = head;
  const texts = inputs.map((i) => i.input);
  const sameData = digestJson(base.source.data) === digestJson(head.source.data);
  const sameRules = digestJson([...base.source.modules].sort()) === digestJson([...head.source.modules].sort());
  const start = performance.now();
  const [before, after] =
    sameData && sameRules
      ? await once(pool.outcomes(head.plain, entrypoint, texts))
      : await Promise.all([pool.outcomes(base.plain, entrypoint, texts), pool.outcomes(head.plain, entrypoint, texts)]);
  const changed: { index: number; class: DiffClass; fields: readonly string[] }[] = [];
  for (let index = 0; index < inputs.length; index += 1) {
    const change = classify(before[index]!, after[index]!);
    if (change !== undefined) changed.push({ index, ...change });
  }
  const causes = await causesOf(
    base,
    head,
    entrypoint,
    changed.map((c) => texts[c.index]!),
    changed.map((c) => before[c.index]!),
    sameData,
    sameRules,
  );
  const seconds = (performance.now() - start) / 1000;
  const weight = inputs.reduce((sum, i) => sum + i.weight, 0);
  const traced = changed.length === 0 ? [undefined, undefined] : await Promise.all([tracedProgram(base), tracedProgram(head)]);
  const groups: DiffGroup[] = [];
  for (const name of DIFF_CLASSES) {
    const members = changed.flatMap((c, at) => (c.class === name ? [{ ...c, cause: causes[at]! }] : []));
    if (members.length === 0) continue;
    const smallest = members.reduce((best, m) => (compareInputs(texts[m.index]!, texts[best.index]!) < 0 ? m : best));
    const text = texts[smallest.index]!;
    const groupWeight = members.reduce((sum, m) => sum + inputs[m.index]!.weight, 0);
    const sides = {
      base: await explainSide(base, traced[0], entrypoint, text, before[smallest.index]!, head),
      head: await explainSide(head, traced[1], entrypoint, text, after[smallest.index]!, base),
    };
    const moved = members.some((m) => {
      const input = JSON.parse(texts[m.index]!) as Json;
      const [was, is] = [
        jurisdictionOf(decisionOf(before[m.index]!), base.source.data, input),
        jurisdictionOf(decisionOf(after[m.index]!), head.source.data, input),
      ];
      return was !== undefined && is !== undefined && was !== is;
    });
    groups.push({
      class: name,
      count: members.length,
      weight: groupWeight,
      share: weight === 0 ? 0 : groupWeight / weight,
      causes: { policy: count(members, 'policy'), data: count(members, 'data'), both: count(members, 'both') },
      fields: [...new Set([...members.flatMap((m) => m.fields), ...(moved ? ['jurisdiction'] : [])])].sort(),
      transitions: transitionsOf(members.map((m) => [ruleId(before[m.index]!), ruleId(after[m.index]!)] as const)),
      example: { input: JSON.parse(text) as Json, line: inputs[smallest.index]!.line, cause: smallest.cause, ...sides },
    });
  }
  return { entrypoint, replayed: inputs.length, weight, changed: changed.length, groups, seconds };
}

async function once<T>(work: Promise<T>): Promise<[T, T]> {
  const result = await work;
  return [result, result];
}

/** Base and head policy crossed with base and head data tell the causes apart. */
async function causesOf(
  base: Side,
  head: Side,
  entrypoint: string,
  texts: readonly string[],
  before: readonly Outcome[],
  sameData: boolean,
  sameRules: boolean,
): Promise<readonly Cause[]> {
  if (sameData) return texts.map(() => 'policy');
  if (sameRules) return texts.map(() => 'data');
  const headRules = head.pool.add(withData(head.program, base.source.data));
  const headData = head.pool.add(withData(base.program, head.source.data));
  const [byPolicy, byData] = await Promise.all([
    head.pool.outcomes(headRules, entrypoint, texts),
    head.pool.outcomes(headData, entrypoint, texts),
  ]);
  return texts.map((_, i) => {
    const policy = classify(before[i]!, byPolicy[i]!) !== undefined;
    const data = classify(before[i]!, byData[i]!) !== undefined;
    return policy && !data ? 'policy' : data && !policy ? 'data' : 'both';
  });
}

async function explainSide(
  side: Side,
  traced: number | undefined,
  entrypoint: string,
  input: string,
  outcome: Outcome,
  other: Side,
): Promise<DiffSide> {
  const decision = decisionOf(outcome);
  return {
    decision,
    failure: 'failure' in outcome ? outcome.failure : undefined,
    jurisdiction: jurisdictionOf(decision, side.source.data, JSON.parse(input) as Json),
    attribution:
      traced === undefined || ('failure' in outcome && outcome.failure.kind === 'time')
        ? undefined
        : await attribute(side, traced, { entrypoint, input, holds: (o) => sameOutcome(o, outcome), other: other.definitions }),
  };
}

function ruleId(outcome: Outcome): string {
  if ('failure' in outcome) return `error: ${outcome.failure.kind}`;
  const decision = decisionOf(outcome);
  if (decision === undefined) return 'undefined';
  if (isObject(decision) && typeof decision['rule'] === 'string') return decision['rule'];
  return typeof decision === 'boolean' ? String(decision) : 'decided';
}

function transitionsOf(pairs: readonly (readonly [string, string])[]): DiffGroup['transitions'] {
  const counts = new Map<string, { from: string; to: string; count: number }>();
  for (const [from, to] of pairs) {
    const known = counts.get(`${from}\0${to}`);
    if (known === undefined) counts.set(`${from}\0${to}`, { from, to, count: 1 });
    else known.count += 1;
  }
  return [...counts.values()]
    .sort((a, b) => b.count - a.count || (a.from < b.from ? -1 : a.from > b.from ? 1 : a.to < b.to ? -1 : 1))
    .slice(0, 10);
}

/** Shorter first, then by code units. */
function compareInputs(a: string, b: string): number {
  return a.length - b.length || compareText(a, b);
}

function count(members: readonly { cause: Cause }[], cause: Cause): number {
  return members.filter((m) => m.cause === cause).length;
}
