import { append } from '../core/multimap.ts';
import type { Definition } from './definitions.ts';
import type { MayOverlap } from './lint-candidates.ts';
import type { Side } from './side.ts';
import type { Trace } from './tasks.ts';
import type { EvaluationFailure } from './wasm.ts';

/** What the traced points have shown so far. Witnesses are the smallest inputs: the shortest text, then the first in order. */
export interface LintState {
  /** Evaluations in which each definition fired. */
  readonly fired: Map<string, number>;
  /** Smallest input on which it fired. */
  readonly witness: Map<string, string>;
  /** Definitions whose removal changes some decision. */
  readonly effective: Set<string>;
  /** Definitions of the same rule that gave the same value wherever this one fired. */
  readonly twins: Map<string, Set<string>>;
  /** Definitions with conditions that fired in every evaluation so far. */
  readonly always: Set<string>;
  readonly conflicts: Map<string, { input: string; a: Definition; b: Definition; values: readonly [string, string] }>;
  readonly overlaps: Map<string, { input: string; a: Definition; b: Definition; value: string }>;
  /** Evaluations that ended in a limit or an error other than a conflict, by entrypoint and kind. */
  readonly failures: Map<string, { entrypoint: string; input: string; failure: EvaluationFailure; count: number }>;
  /** Definitions that held in such an evaluation: what their removal changes there can't be told. */
  readonly unjudged: Set<string>;
  /** Input on which the instrumented module decided differently from the plain one. */
  mismatch: string | undefined;
}

export function emptyLintState(always: ReadonlySet<string>): LintState {
  return {
    fired: new Map(),
    witness: new Map(),
    effective: new Set(),
    twins: new Map(),
    always: new Set(always),
    conflicts: new Map(),
    overlaps: new Map(),
    failures: new Map(),
    unjudged: new Set(),
    mismatch: undefined,
  };
}

export function smaller(a: string, b: string): boolean {
  return a.length < b.length || (a.length === b.length && a < b);
}

/** Counts a trace in: which definitions held, with whom they agree, and whom they contradict. */
export function noteTrace(
  side: Side,
  state: LintState,
  trace: Trace,
  input: string,
  known: ReadonlySet<string>,
  overlaps: MayOverlap,
): void {
  noteConflict(side, trace, input, state);
  const values = new Map(trace.fired);
  const agreeing = agreeingDefinitions(side, trace);
  for (const id of state.always) if (known.has(id) && !values.has(id)) state.always.delete(id);
  for (const [id, value] of trace.fired) {
    if (!known.has(id)) continue;
    state.fired.set(id, (state.fired.get(id) ?? 0) + 1);
    const witness = state.witness.get(id);
    if (witness === undefined || smaller(input, witness)) state.witness.set(id, input);
    const { rule } = side.graph.byId.get(id)!;
    const same = (agreeing.get(`${rule} ${value}`) ?? []).filter((other) => other !== id).slice(0, MAX_TWINS);
    const before = state.twins.get(id);
    state.twins.set(id, before === undefined ? new Set(same) : new Set([...before].filter((twin) => values.get(twin) === value)));
    if (!('failure' in trace.outcome)) for (const other of same) noteOverlap(side, state, [other, id], value, input, overlaps);
  }
}

/** Definitions that give the same value as another one, followed up: among ten thousand of them, a few are enough to name. */
const MAX_TWINS = 32;

/** Fired definitions by rule and value, in order of the source; those alone with their value are left out. */
function agreeingDefinitions(side: Side, trace: Trace): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const [id, value] of trace.fired) {
    const rule = side.graph.byId.get(id)?.rule;
    if (rule === undefined) continue;
    append(groups, `${rule} ${value}`, id);
  }
  for (const [key, group] of groups) {
    if (group.length === 1) groups.delete(key);
    else group.sort((a, b) => order(a) - order(b));
  }
  // One more than is followed up: each leaves itself out.
  return new Map([...groups].map(([key, group]) => [key, group.slice(0, MAX_TWINS + 1)]));
}

function noteOverlap(
  side: Side,
  state: LintState,
  pair: readonly [string, string],
  value: string,
  input: string,
  overlaps: MayOverlap,
): void {
  if (value === 'true' || value === 'false') return;
  const [a, b] = pair.map((id) => side.graph.byId.get(id)!).sort((x, y) => order(x.id) - order(y.id)) as [Definition, Definition];
  if (!overlaps(a, b)) return;
  const key = `${a.id} ${b.id}`;
  const known = state.overlaps.get(key);
  if (known === undefined || smaller(input, known.input)) state.overlaps.set(key, { input, a, b, value });
}

function order(id: string): number {
  return Number(id.slice(1));
}

/** A failed evaluation decides nothing: it is a finding of its own, never an agreement between two failures. */
export function noteFailure(entrypoint: string, trace: Trace, input: string, state: LintState): void {
  if (!('failure' in trace.outcome) || trace.outcome.failure.kind === 'conflict') return;
  const { failure } = trace.outcome;
  for (const [id] of trace.fired) state.unjudged.add(id);
  const key = `${entrypoint} ${failure.kind}`;
  const known = state.failures.get(key);
  if (known === undefined) state.failures.set(key, { entrypoint, input, failure, count: 1 });
  else {
    known.count += 1;
    if (smaller(input, known.input)) Object.assign(known, { input, failure });
  }
}

/** OPA names one side of a conflict; the trace has both, because each definition tells its value before the abort. */
function noteConflict(side: Side, trace: Trace, input: string, state: LintState): void {
  if (!('failure' in trace.outcome) || trace.outcome.failure.kind !== 'conflict') return;
  const earlier = new Map<string, [id: string, value: string][]>();
  for (const [id, value] of trace.fired) {
    const b = side.graph.byId.get(id);
    if (b === undefined || (b.kind !== 'complete' && b.kind !== 'function')) continue;
    const others = earlier.get(b.rule) ?? [];
    earlier.set(b.rule, others);
    for (const [otherId, otherValue] of others) {
      const a = side.graph.byId.get(otherId);
      if (a === undefined || otherValue === value) continue;
      const key = `${a.id} ${b.id}`;
      const known = state.conflicts.get(key);
      if (known !== undefined && !smaller(input, known.input)) continue;
      // Functions rightly give different values for different arguments: the abort names the definition that conflicts.
      const place = trace.outcome.failure.place;
      if (place !== undefined && ![a, b].some((d) => place.startsWith(`${d.location.file}:${d.location.line}:`))) continue;
      state.conflicts.set(key, { input, a, b, values: [otherValue, value] });
    }
    others.push([id, value]);
  }
}
