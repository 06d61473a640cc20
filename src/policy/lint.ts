import type { Progress } from '../core/context.ts';
import { InternalError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import type { Json } from '../core/json.ts';
import { attribute, sameOutcome } from './attribution.ts';
import { allows, decisionOf } from './decision.ts';
import type { Definition } from './definitions.ts';
import { type Domain, digitsOf, type InputPath, inputOf, pathText, withValue } from './domain.ts';
import { policyFinding } from './rules.ts';
import { pointsOf, spreadIndices, take } from './sampling.ts';
import { type Side, tracedProgram } from './side.ts';
import { isObject } from './source.ts';
import type { Trace } from './tasks.ts';
import type { Outcome } from './wasm.ts';

/** Points whose traces are looked at before the answer becomes "not seen in M of N". */
export const DEFAULT_LINT_POINTS = 100_000;
const CHUNK = 1024;
/** Inputs from which fields are dropped one by one. */
const ABSENCE_POINTS = 128;

export interface LintResult {
  readonly findings: readonly Finding[];
  /** Points whose evaluation was traced. */
  readonly examined: number;
  readonly size: number;
  readonly definitions: number;
  /** Definitions that fired at least once. */
  readonly fired: number;
  /** Definitions whose removal changes some decision. */
  readonly effective: number;
}

export interface LintOptions {
  readonly maxPoints: number;
  readonly progress: Progress;
  /** Inputs to look at first, e.g. those on which a proof met an error. */
  readonly inputs?: readonly string[];
  /** Also evaluate the rest of the points, without tracing, to find conflicts. */
  readonly sweep: boolean;
}

interface State {
  readonly fired: Map<string, number>;
  readonly effective: Set<string>;
  /** Definitions of the same rule that gave the same value wherever this one fired. */
  readonly twins: Map<string, Set<string>>;
  readonly outcomes: Set<string>;
  readonly conflicts: Map<string, { input: Json; a: Definition; b: Definition; values: readonly [string, string] }>;
  mismatch: string | undefined;
}

/**
 * Rule analysis on a domain, by evaluating the instrumented module: dead, shadowed and redundant rules, conflicts,
 * constant entrypoints and fields whose absence opens the policy. Stops early once every definition has been seen to
 * matter, so a clean policy costs a fraction of its domain.
 */
export async function lintOnDomain(side: Side, entrypoint: string, domain: Domain, options: LintOptions): Promise<LintResult> {
  const traced = await tracedProgram(side);
  const mine = side.definitions.filter((d) => d.kind !== 'default' && side.graph.depth.has(d.rule));
  const total = Math.min(domain.size, options.maxPoints);
  if (traced === undefined)
    return { findings: [], examined: 0, size: domain.size, definitions: mine.length, fired: 0, effective: 0 };
  const state: State = {
    fired: new Map(),
    effective: new Set(),
    twins: new Map(),
    outcomes: new Set(),
    conflicts: new Map(),
    mismatch: undefined,
  };
  const absence = absenceItems(domain);
  const failOpen = await absenceFindings(side, traced, entrypoint, absence);
  // One missing field at a time from the base: what makes the checks of the input's form hold.
  const near = absence.filter((a) => a.with === domain.base);
  for (const items of chunks(near.map((a) => JSON.stringify(a.input))))
    await examine(side, traced, entrypoint, items, state, mine);
  if (options.inputs !== undefined) await examine(side, traced, entrypoint, options.inputs, state, mine);
  const order = pointsOf(domain, total);
  let examined = 0;
  const open = (): boolean => state.outcomes.size < 2 || mine.some((d) => !state.effective.has(d.id));
  const lane = async (): Promise<void> => {
    while (open() && state.mismatch === undefined) {
      const points = take(order, CHUNK);
      if (points.length === 0) return;
      await examine(
        side,
        traced,
        entrypoint,
        points.map((digits) => JSON.stringify(inputOf(domain, digits))),
        state,
        mine,
      );
      examined += points.length;
      options.progress.fraction(examined, total, 'points traced');
    }
  };
  // One lane: what counts as seen may not depend on which worker was faster.
  await lane();
  // Every definition matters, but two of them may still clash on a point not looked at: the plain module is fast.
  if (options.sweep && state.mismatch === undefined) await sweep(side, traced, entrypoint, domain, order, state, mine);
  if (state.mismatch !== undefined)
    throw new InternalError(
      `the instrumented policy decides differently from the plain one; input: ${state.mismatch.slice(0, 1000)}`,
    );
  const whole = examined === domain.size;
  const seen = whole ? `on ${domain.size} of ${domain.size} points` : `in ${examined} of ${domain.size} points`;
  const findings = [...failOpen, ...ruleFindings(side, mine, state, seen, whole)];
  const everything = !open() || examined >= total;
  if (everything && state.outcomes.size === 1 && domain.size > 1) {
    findings.push(
      policyFinding({
        ruleId: 'policy-entrypoint-constant',
        message: `The entrypoint ${entrypoint} gives the same decision ${seen}.`,
        location: side.graph.byRule.get(entrypoint.replaceAll('/', '.'))?.[0]?.location,
        subject: entrypoint,
        evidence: { decision: JSON.parse([...state.outcomes][0]!) as Json, points: examined },
        fix: 'Vary what should change the decision, or correct the rule.',
      }),
    );
  }
  return {
    findings,
    examined,
    size: domain.size,
    definitions: mine.length,
    fired: state.fired.size,
    effective: state.effective.size,
  };
}

async function examine(
  side: Side,
  traced: number,
  entrypoint: string,
  inputs: readonly string[],
  state: State,
  mine: readonly Definition[],
): Promise<void> {
  const plainItems = inputs.map((input) => ({ input }));
  const [traces, plain] = await Promise.all([
    side.pool.traces(traced, entrypoint, plainItems, true),
    side.pool.outcomes(side.plain, entrypoint, inputs),
  ]);
  const known = new Set(mine.map((d) => d.id));
  const items: { input: string; off: string; at: number }[] = [];
  for (const [at, trace] of traces.entries()) {
    if (!sameOutcome(trace.outcome, plain[at]!)) state.mismatch ??= inputs[at]!;
    if ('value' in trace.outcome && state.outcomes.size < 2) state.outcomes.add(trace.outcome.value);
    else if (!('value' in trace.outcome)) state.outcomes.add('null ');
    noteConflict(side, trace, inputs[at]!, state);
    const values = new Map(trace.fired);
    for (const [id, value] of trace.fired) {
      if (!known.has(id)) continue;
      state.fired.set(id, (state.fired.get(id) ?? 0) + 1);
      const rule = side.graph.byId.get(id)!.rule;
      const same = new Set(
        side.graph.byRule
          .get(rule)!
          .filter((d) => d.id !== id && values.get(d.id) === value)
          .map((d) => d.id),
      );
      const before = state.twins.get(id);
      state.twins.set(id, before === undefined ? same : new Set([...before].filter((twin) => same.has(twin))));
      if (!state.effective.has(id) && !('failure' in trace.outcome)) items.push({ input: inputs[at]!, off: id, at });
    }
  }
  // A few inputs of each definition at a time: most prove their worth at once and leave the list.
  const queues = new Map<string, typeof items>();
  for (const item of items) queues.set(item.off, [...(queues.get(item.off) ?? []), item]);
  for (let from = 0, width = 2; ; from += width, width = Math.min(64, width * 4)) {
    const step = [...queues].flatMap(([off, list]) => (state.effective.has(off) ? [] : list.slice(from, from + width)));
    if (step.length === 0) break;
    const without = await side.pool.traces(
      traced,
      entrypoint,
      step.map(({ input, off }) => ({ input, off })),
      false,
    );
    for (const [index, item] of step.entries())
      if (!sameOutcome(without[index]!.outcome, plain[item.at]!)) state.effective.add(item.off);
  }
}

const SWEEP_CHUNK = 4096;
/** Failing inputs that are traced: enough to see the clash, whatever their number. */
const TRACED_FAILURES = 16;

async function sweep(
  side: Side,
  traced: number,
  entrypoint: string,
  domain: Domain,
  rest: Iterator<readonly number[]>,
  state: State,
  mine: readonly Definition[],
): Promise<void> {
  for (let traces = 0; traces < TRACED_FAILURES; ) {
    const texts = take(rest, SWEEP_CHUNK).map((digits) => JSON.stringify(inputOf(domain, digits)));
    if (texts.length === 0) return;
    const outcomes = await side.pool.outcomes(side.plain, entrypoint, texts);
    const failing = texts.filter((_, index) => {
      const outcome = outcomes[index]!;
      return 'failure' in outcome && outcome.failure.kind === 'conflict';
    });
    const some = failing.slice(0, TRACED_FAILURES - traces);
    traces += some.length;
    if (some.length > 0) await examine(side, traced, entrypoint, some, state, mine);
  }
}

/** OPA names one side of a conflict; the trace has both, because each definition tells its value before the abort. */
function noteConflict(side: Side, trace: Trace, input: string, state: State): void {
  if (!('failure' in trace.outcome) || trace.outcome.failure.kind !== 'conflict') return;
  for (const [index, [id, value]] of trace.fired.entries()) {
    const b = side.graph.byId.get(id);
    if (b === undefined || (b.kind !== 'complete' && b.kind !== 'function')) continue;
    for (const [otherId, otherValue] of trace.fired.slice(0, index)) {
      const a = side.graph.byId.get(otherId);
      if (a === undefined || a.rule !== b.rule || otherValue === value) continue;
      const key = `${a.id} ${b.id}`;
      const known = state.conflicts.get(key);
      if (known !== undefined && JSON.stringify(known.input).length <= input.length) continue;
      // Functions rightly give different values for different arguments: the abort names the definition that conflicts.
      const place = trace.outcome.failure.place;
      if (place !== undefined && ![a, b].some((d) => place.startsWith(`${d.location.file}:${d.location.line}:`))) continue;
      state.conflicts.set(key, { input: JSON.parse(input) as Json, a, b, values: [otherValue, value] });
    }
  }
}

function ruleFindings(side: Side, mine: readonly Definition[], state: State, seen: string, whole: boolean): Finding[] {
  const findings: Finding[] = [];
  for (const { a, b, input, values } of state.conflicts.values()) findings.push(conflictFinding(a, b, values, input));
  const conflicting = new Set([...state.conflicts.values()].flatMap(({ a, b }) => [a.id, b.id]));
  for (const d of mine) {
    if (state.effective.has(d.id) || conflicting.has(d.id)) continue;
    const hits = state.fired.get(d.id) ?? 0;
    const evidence = { rule: d.rule, definition: d.text.slice(0, 300), fired: hits, seen };
    if (hits === 0) {
      // On a part of the domain this is a guess; a fact or a helper that short-cuts never runs would be noise then.
      if (!whole && d.fact) continue;
      findings.push(
        policyFinding({
          ruleId: 'policy-rule-dead',
          message: whole
            ? `This definition of ${d.rule} never holds ${seen}.`
            : `This definition of ${d.rule} was not seen to hold ${seen}.`,
          location: d.location,
          subject: d.rule,
          evidence,
          fix: 'Delete it, correct its condition, or add the values to the domain for which it should hold.',
        }),
      );
      continue;
    }
    const twin = [...(state.twins.get(d.id) ?? [])].map((id) => side.graph.byId.get(id)!)[0];
    if (twin !== undefined) {
      findings.push(
        policyFinding({
          ruleId: 'policy-rule-shadowed',
          message: `This definition of ${d.rule} only holds where another one gives the same value (${seen}).`,
          location: d.location,
          related: [{ ...twin.location, message: 'decides the same' }],
          subject: d.rule,
          evidence,
          fix: 'Delete one of the two, or narrow the other one.',
        }),
      );
    } else {
      findings.push(
        policyFinding({
          ruleId: 'policy-rule-redundant',
          message: `Removing this definition of ${d.rule} changes no decision ${seen}.`,
          location: d.location,
          subject: d.rule,
          evidence,
          fix: 'Delete it, or correct what should depend on it.',
        }),
      );
    }
  }
  return findings;
}

export function conflictFinding(
  a: Definition,
  b: Definition,
  values: readonly [string, string],
  input: Json | undefined,
): Finding {
  return policyFinding({
    ruleId: 'policy-rule-conflict',
    message: `Two definitions of ${b.rule} give different values for the same input: ${values[0].slice(0, 80)} and ${values[1].slice(0, 80)}.`,
    location: b.location,
    related: [{ ...a.location, message: `gives ${values[0].slice(0, 80)}` }],
    subject: b.rule,
    evidence: { values: values.map((v) => v.slice(0, 500)), ...(input === undefined ? {} : { input }) },
    fix: 'Make the bodies exclude each other, or write the precedence down with else.',
  });
}

interface Absence {
  readonly path: InputPath;
  readonly with: Json;
  readonly input: Json;
}

/** Inputs with one field left out, from points spread over the domain. */
function absenceItems(domain: Domain): readonly Absence[] {
  const items: Absence[] = [];
  const points = [
    domain.base as Json,
    ...[...spreadIndices(domain.size, ABSENCE_POINTS)].map((index) => inputOf(domain, digitsOf(domain, index)) as Json),
  ];
  for (const point of points) {
    for (const path of objectPaths(point)) items.push({ path, with: point, input: withValue(point, path, undefined) });
  }
  return items;
}

/** Every member of every object, at any depth; array places stay, because lists of pools rightly get shorter. */
function objectPaths(value: Json): InputPath[] {
  const found: InputPath[] = [];
  const walk = (node: Json, path: InputPath): void => {
    if (found.length > 2000 || path.length > 16) return;
    if (Array.isArray(node)) for (const [index, item] of (node as readonly Json[]).entries()) walk(item, [...path, index]);
    else if (isObject(node)) {
      for (const [key, item] of Object.entries(node)) {
        found.push([...path, key]);
        walk(item, [...path, key]);
      }
    }
  };
  walk(value, []);
  return found;
}

async function absenceFindings(side: Side, traced: number, entrypoint: string, items: readonly Absence[]): Promise<Finding[]> {
  const withField = [...new Map(items.map((item) => [item.with, JSON.stringify(item.with)])).entries()];
  const outcomes = new Map<Json, Outcome>();
  for (const [index, outcome] of (
    await side.pool.outcomes(
      side.plain,
      entrypoint,
      withField.map(([, text]) => text),
    )
  ).entries())
    outcomes.set(withField[index]![0], outcome);
  const texts = items.map((item) => JSON.stringify(item.input));
  const without = await side.pool.outcomes(side.plain, entrypoint, texts);
  const opened = new Map<string, { item: Absence; text: string; before: Outcome; after: Outcome; count: number }>();
  for (const [index, item] of items.entries()) {
    const [before, after] = [outcomes.get(item.with)!, without[index]!];
    if (allows(decisionOf(after)) !== true || allows(decisionOf(before)) === true || 'failure' in before) continue;
    const key = pathText(item.path.map((step) => (typeof step === 'number' ? 0 : step))).replaceAll('[0]', '[]');
    const known = opened.get(key);
    if (known === undefined) opened.set(key, { item, text: texts[index]!, before, after, count: 1 });
    else {
      known.count += 1;
      if (texts[index]!.length < known.text.length) Object.assign(known, { item, text: texts[index]!, before, after });
    }
  }
  const findings: Finding[] = [];
  for (const [key, { item, text, before, after, count }] of [...opened].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const attribution = await attribute(side, traced, { entrypoint, input: text, holds: (o) => allows(decisionOf(o)) === true });
    const blamed = attribution.because[0] ?? attribution.decided;
    findings.push(
      policyFinding({
        ruleId: 'policy-fail-open',
        message: `Leaving out ${key} turns a refusal into an allow.`,
        location: blamed?.location,
        subject: key,
        evidence: {
          path: pathText(item.path),
          count,
          input: item.with,
          before: decisionOf(before) ?? null,
          after: decisionOf(after) ?? null,
        },
        fix: 'Refuse an input that lacks the field: require it in a rule that must hold, since `not f(input.x)` is undefined when input.x is absent.',
      }),
    );
  }
  return findings;
}

function* chunks(texts: readonly string[]): Generator<readonly string[]> {
  for (let from = 0; from < texts.length; from += CHUNK) yield texts.slice(from, from + CHUNK);
}
