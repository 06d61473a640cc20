import type { Progress } from '../core/context.ts';
import { InternalError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import type { Json } from '../core/json.ts';
import { append } from '../core/multimap.ts';
import { sameOutcome } from './attribution.ts';
import { type Definition, graphOf } from './definitions.ts';
import { type Domain, inputOf } from './domain.ts';
import { absenceFindings, absenceItems } from './fail-open.ts';
import { failureFinding } from './findings.ts';
import { constantCandidates, type MayOverlap, overlapCandidates } from './lint-candidates.ts';
import { ruleFindings } from './lint-findings.ts';
import { emptyLintState, type LintState, noteFailure, noteTrace, smaller } from './lint-state.ts';
import { policyFinding } from './rules.ts';
import { pointsOf, take } from './sampling.ts';
import { entrypointLocation, type Side, tracedProgram } from './side.ts';
import { isLimit } from './wasm.ts';

/** Points whose traces are looked at before the answer becomes "not seen in M of N". */
export const DEFAULT_LINT_POINTS = 100_000;
const CHUNK = 1024;
/** Definitions that a chunk of traces may list in all: each evaluation lists those that held. */
const MAX_LISTED = 1_000_000;
/** Above so many definitions an analysis has a budget: one of ten thousand would take hours without. */
const LARGE = 1000;
/** That budget, in definitions times evaluations: about five microseconds each. */
const MAX_WORK = 20_000_000;

export interface LintResult {
  readonly findings: readonly Finding[];
  /** One a given entrypoint, in order; empty when the policy can't be instrumented. */
  readonly entrypoints: readonly Analysed[];
  /** The policy is so large that the analysis stopped before it had looked at every point and definition. */
  readonly exhausted: boolean;
}

export interface Analysed {
  readonly entrypoint: string;
  /** Points whose evaluation was traced, of `size` in the domain. */
  readonly examined: number;
  readonly size: number;
  /** Definitions that the entrypoint can reach, defaults left out. */
  readonly definitions: number;
  /** Those of them whose removal changes some decision of this entrypoint or one before it. */
  readonly effective: number;
}

/** One line for people. */
export function analysedText(a: Analysed): string {
  return `${a.effective} of ${a.definitions} definitions change a decision; ${a.examined} of ${a.size} points traced`;
}

export interface LintOptions {
  readonly maxPoints: number;
  readonly progress: Progress;
  /** Inputs to look at first, e.g. those on which a proof met an error. */
  readonly inputs?: readonly string[];
  /** Also evaluate the rest of the points, without tracing, to find conflicts. */
  readonly sweep: boolean;
  /** Entrypoints whose decisions go out, so that a constant or a fail-open one matters; all unless given. */
  readonly deciding?: readonly string[];
}

/** The analysis of one entrypoint. */
interface Work {
  readonly side: Side;
  readonly traced: number;
  readonly entrypoint: string;
  /** Definitions that the entrypoint can reach. */
  readonly mine: readonly Definition[];
  readonly known: ReadonlySet<string>;
  readonly overlaps: MayOverlap;
  readonly state: LintState;
  /** Up to two different decisions, with the smallest input of the first. */
  readonly decisions: Set<string>;
  smallest: string | undefined;
  traces: number;
  readonly budget: Budget;
  /** Points whose traces are held at a time. */
  readonly chunk: number;
}

/** Evaluations that are left, of one module. */
interface Budget {
  left: number;
}

/**
 * Rule analysis on a domain, by evaluating the instrumented module: dead, shadowed and redundant rules, conflicts,
 * accidental agreement, conditions that are always true, constant entrypoints and fields whose absence opens the policy.
 * A definition that matters for one entrypoint is not reported for another. Stops early once every definition has been
 * seen to matter, so a clean policy costs a fraction of its domain.
 */
export async function lintOnDomain(
  side: Side,
  entrypoints: readonly string[],
  domain: Domain,
  options: LintOptions,
): Promise<LintResult> {
  const reached = new Set(graphOf(side.definitions, entrypoints).depth.keys());
  const mine = side.definitions.filter((d) => d.kind !== 'default' && reached.has(d.rule));
  const traced = await tracedProgram(side);
  if (traced === undefined) return { findings: [], entrypoints: [], exhausted: false };
  const total = Math.min(domain.size, options.maxPoints);
  const state = emptyLintState(constantCandidates(mine, side.graph));
  const overlaps = overlapCandidates();
  const opened: Finding[] = [];
  const constant: Finding[] = [];
  const analysed: Analysed[] = [];
  const budget: Budget = { left: side.definitions.length > LARGE ? Math.ceil(MAX_WORK / side.definitions.length) : Infinity };
  const chunk = Math.max(16, Math.min(CHUNK, Math.floor(MAX_LISTED / Math.max(1, mine.length))));
  let traces = 0;
  let least = total;
  for (const entrypoint of entrypoints) {
    const depth = entrypoints.length === 1 ? reached : new Set(graphOf(side.definitions, [entrypoint]).depth.keys());
    const own = mine.filter((d) => depth.has(d.rule));
    const work: Work = {
      side,
      traced,
      entrypoint,
      mine: own,
      known: new Set(own.map((d) => d.id)),
      overlaps,
      state,
      decisions: new Set(),
      smallest: undefined,
      traces: 0,
      budget,
      chunk,
    };
    const absence = absenceItems(domain);
    const deciding = options.deciding?.includes(entrypoint) ?? true;
    if (deciding) opened.push(...(await absenceFindings(side, traced, entrypoint, absence)));
    // One missing field at a time from the base: what makes the checks of the input's form hold.
    const near = absence.filter((a) => a.with === domain.base);
    for (const items of chunks(
      near.map((a) => JSON.stringify(a.input)),
      chunk,
    ))
      await examine(work, items);
    for (const items of chunks(options.inputs ?? [], chunk)) await examine(work, items);
    const examined = await walk(work, domain, total, options);
    if (budget.left <= 0) least = Math.min(least, examined);
    traces += work.traces;
    const effective = own.filter((d) => state.effective.has(d.id)).length;
    analysed.push({ entrypoint, examined, size: domain.size, definitions: own.length, effective });
    const failed = [...state.failures.values()].some((f) => f.entrypoint === entrypoint);
    if (deciding && !failed && examined >= total && work.decisions.size === 1 && domain.size > 1)
      constant.push(constantEntrypoint(work, seenText(examined, domain.size), examined));
  }
  // A definition that is still open at the end kept the walk of every entrypoint that reaches it going to the end.
  const points = {
    whole: least === domain.size && state.failures.size === 0,
    seen: seenText(least, domain.size),
    examined: least,
    traced: traces,
  };
  const failures = [...state.failures.values()].map((f) =>
    failureFinding(f.entrypoint, f.failure, JSON.parse(f.input) as Json, f.count, entrypointLocation(side, f.entrypoint)),
  );
  return {
    findings: [...failures, ...distinct(opened), ...ruleFindings(side, mine, state, points), ...constant],
    entrypoints: analysed,
    exhausted: budget.left <= 0,
  };
}

/** Traces points of the domain until nothing is open; the number of them. */
async function walk(work: Work, domain: Domain, total: number, options: LintOptions): Promise<number> {
  const { state } = work;
  const order = pointsOf(domain, total);
  const whole = total === domain.size;
  const open = (): boolean =>
    work.decisions.size < 2 ||
    work.mine.some((d) => !state.effective.has(d.id) || (whole && state.always.has(d.id) && state.fired.has(d.id)));
  let examined = 0;
  // One chunk after the other: what counts as seen may not depend on which worker was faster.
  while (open() && state.mismatch === undefined && work.budget.left > 0) {
    const points = take(order, work.chunk);
    if (points.length === 0) break;
    await examine(
      work,
      points.map((digits) => JSON.stringify(inputOf(domain, digits))),
    );
    examined += points.length;
    options.progress.fraction(examined, total, 'points traced');
  }
  // Every definition matters, but two of them may still clash on a point not looked at: the plain module is fast.
  if (options.sweep && state.mismatch === undefined) await sweep(work, domain, order);
  if (state.mismatch !== undefined)
    throw new InternalError(
      `the instrumented policy decides differently from the plain one; input: ${state.mismatch.slice(0, 1000)}`,
    );
  return examined;
}

function seenText(examined: number, size: number): string {
  return examined === size ? `on ${size} of ${size} points` : `in ${examined} of ${size} points`;
}

function constantEntrypoint(work: Work, seen: string, points: number): Finding {
  const { entrypoint } = work;
  return policyFinding('policy-entrypoint-constant', {
    message: `The entrypoint ${entrypoint} gives the same decision ${seen}.`,
    location: entrypointLocation(work.side, entrypoint),
    subject: entrypoint,
    evidence: {
      decision: JSON.parse([...work.decisions][0]!) as Json,
      points,
      ...(work.smallest === undefined ? {} : { input: JSON.parse(work.smallest) as Json }),
    },
    fix: 'Vary what should change the decision, or correct the rule.',
  });
}

/** Several entrypoints may be opened by the same field on the same line: one finding. */
function distinct(findings: readonly Finding[]): readonly Finding[] {
  return [...new Map(findings.map((f) => [`${f.subject} ${f.location?.file}:${f.location?.line}`, f])).values()];
}

async function examine(work: Work, inputs: readonly string[]): Promise<void> {
  const { side, traced, entrypoint, state, known } = work;
  work.budget.left -= 2 * inputs.length;
  const plainItems = inputs.map((input) => ({ input }));
  const [traces, plain] = await Promise.all([
    side.pool.traces(traced, entrypoint, plainItems, true),
    side.pool.outcomes(side.plain, entrypoint, inputs),
  ]);
  work.traces += inputs.length;
  const items: { input: string; off: string; at: number }[] = [];
  for (const [at, trace] of traces.entries()) {
    const input = inputs[at]!;
    const unknown = [trace.outcome, plain[at]!].some((o) => 'failure' in o && isLimit(o.failure));
    if (!unknown && !sameOutcome(trace.outcome, plain[at]!)) state.mismatch ??= input;
    if ('value' in trace.outcome && work.decisions.size < 2) work.decisions.add(trace.outcome.value);
    else if (!('value' in trace.outcome)) work.decisions.add('null ');
    if (work.smallest === undefined || smaller(input, work.smallest)) work.smallest = input;
    noteTrace(side, state, trace, input, known, work.overlaps);
    noteFailure(entrypoint, trace, input, state);
    // The plain module alone may have been the one that the time ran out on.
    if (!('failure' in trace.outcome)) noteFailure(entrypoint, { ...trace, outcome: plain[at]! }, input, state);
    if ('failure' in trace.outcome || unknown) continue;
    for (const [id] of trace.fired) if (known.has(id) && !state.effective.has(id)) items.push({ input, off: id, at });
  }
  // A few inputs of each definition at a time: most prove their worth at once and leave the list.
  const queues = new Map<string, typeof items>();
  for (const item of items) {
    append(queues, item.off, item);
  }
  for (let from = 0, width = 2; ; from += width, width = Math.min(64, width * 4)) {
    const step = [...queues].flatMap(([off, list]) => (state.effective.has(off) ? [] : list.slice(from, from + width)));
    if (step.length === 0) break;
    work.budget.left -= step.length;
    if (work.budget.left <= 0) {
      for (const { off } of step) state.unjudged.add(off);
      break;
    }
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

async function sweep(work: Work, domain: Domain, rest: Iterator<readonly number[]>): Promise<void> {
  const { side, entrypoint } = work;
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
    if (some.length > 0) await examine(work, some);
  }
}

function* chunks(texts: readonly string[], size: number): Generator<readonly string[]> {
  for (let from = 0; from < texts.length; from += size) yield texts.slice(from, from + size);
}
