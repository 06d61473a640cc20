import type { Progress } from '../core/context.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { Modules } from '../rego/source.ts';
import { sameOutcome } from './attribution.ts';
import { compileProgram } from './compile.ts';
import { copyUnder, dataUnder, type Relocations, relocationsOf } from './copies.ts';
import { decisionOf } from './decision.ts';
import { definitionsOf } from './definitions.ts';
import { type Domain, inputOf } from './domain.ts';
import { applyEdits } from './edits.ts';
import { type Mutant, mutantsOf } from './mutants.ts';
import type { Opa, TestResult } from './opa.ts';
import { OpaRefused } from './opa-problems.ts';
import type { EvaluatorPool } from './pool.ts';
import { pointsOf, spreadIndices, take } from './sampling.ts';
import type { Side } from './side.ts';
import { PolicyLoadError } from './wasm.ts';

/** More mutants than this are sampled, spread over the policy. */
export const DEFAULT_MAX_MUTANTS = 1000;
/** Domain points on which a surviving mutant is compared with the policy. */
export const DEFAULT_MUTANT_POINTS = 20_000;
/** Seconds after which no further mutant is tested. */
export const DEFAULT_MUTATION_SECONDS = 300;

/** Mutants in one OPA process: past this, compiling costs more than starting another one. */
const BATCH = 20;
/** Data is copied for each mutant of a batch. */
const MAX_BATCH_DATA = 8 * 1024 * 1024;
const LANES = 2;
const CHUNK = 2048;

export type MutantState =
  /** A test failed. */
  | 'killed'
  /** Every test passed. */
  | 'survived'
  /** Every test passed, and it decides the same on every point of the domain. */
  | 'equivalent'
  /** Every test passed, and it decided the same on the points looked at, which are not all. */
  | 'undecided'
  /** It doesn't compile. */
  | 'invalid'
  /** The time ran out before. */
  | 'untested';

export interface Judged {
  readonly mutant: Mutant;
  readonly state: MutantState;
  /** An input on which the mutant decides differently, with both decisions (undefined: no decision). */
  readonly witness?: { readonly input: Json; readonly before: Json | undefined; readonly after: Json | undefined };
}

export interface MutationResult {
  readonly judged: readonly Judged[];
  /** Mutants that the policy has; `judged` may be a sample of them. */
  readonly all: number;
  /** Points that survivors were compared on, and the size of the domain; undefined without one. */
  readonly points: { readonly examined: number; readonly size: number } | undefined;
  /** Killed of killed and survived, 0..1; undefined when there is none of either. */
  readonly score: number | undefined;
}

export interface MutationInput {
  readonly modules: Modules;
  readonly tests: Modules;
  readonly invariants: Modules;
  readonly data: JsonObject;
}

export interface MutationOptions {
  readonly maxMutants: number;
  readonly maxSeconds: number;
  readonly maxPoints: number;
  readonly progress: Progress;
  /** Where survivors are told from equivalent mutants. */
  readonly against: { readonly side: Side; readonly entrypoint: string; readonly domain: Domain } | undefined;
}

/**
 * Mutation testing of a policy's own tests: each small change of the policy should make some test fail. Many mutants
 * stand beside each other in one `opa test`, each under a root of its own. The tests must pass on the policy itself.
 * @throws OpaRefused when the policy or its tests don't compile
 */
export async function mutate(
  opa: Opa,
  pool: EvaluatorPool,
  input: MutationInput,
  options: MutationOptions,
): Promise<MutationResult> {
  const everything: Modules = new Map([...input.modules, ...input.invariants, ...input.tests]);
  const asts = await opa.parse(everything);
  const definitions = definitionsOf(new Map([...asts].filter(([path]) => input.modules.has(path))));
  const all = mutantsOf(input.modules, definitions);
  const chosen =
    all.length <= options.maxMutants
      ? all
      : [...spreadIndices(all.length, options.maxMutants)].sort((a, b) => a - b).map((index) => all[index]!);
  const relocations = await usableRelocations(opa, everything, asts, input.data);
  const run: Run = { opa, everything, data: input.data, relocations };
  const states = await runBatches(run, chosen, options);
  const judged = chosen.map((mutant, index): Judged => ({ mutant, state: states[index]! }));
  const compared = options.against === undefined ? undefined : await compareSurvivors(run, pool, judged, options);
  const final = compared?.judged ?? judged;
  const count = (state: MutantState): number => final.filter((j) => j.state === state).length;
  const [killed, survived] = [count('killed'), count('survived')];
  return {
    judged: final,
    all: all.length,
    points: compared?.points,
    score: killed + survived === 0 ? undefined : killed / (killed + survived),
  };
}

interface Run {
  readonly opa: Opa;
  readonly everything: Modules;
  readonly data: JsonObject;
  /** Undefined: one process a mutant, because copies under another root would not behave the same. */
  readonly relocations: Relocations | undefined;
}

/** Copies are only used where the policy's own copy has the same test results. */
async function usableRelocations(
  opa: Opa,
  everything: Modules,
  asts: Parameters<typeof relocationsOf>[1],
  data: JsonObject,
): Promise<Relocations | undefined> {
  const relocations = relocationsOf(everything, asts);
  if (relocations === undefined) return undefined;
  const plain = await opa.test(everything, data);
  try {
    const copied = await opa.test(copyUnder('m0', relocations), dataUnder(['m0'], data));
    const key = (t: TestResult, root: string): string => `${t.package.replace(`data.${root}`, 'data.')} ${t.name} ${t.outcome}`;
    const same =
      plain
        .map((t) => key(t, ''))
        .sort()
        .join('\n') ===
      copied
        .map((t) => key(t, 'm0.'))
        .sort()
        .join('\n');
    return same ? relocations : undefined;
  } catch (error) {
    if (error instanceof OpaRefused) return undefined;
    throw error;
  }
}

async function runBatches(run: Run, mutants: readonly Mutant[], options: MutationOptions): Promise<MutantState[]> {
  const states = new Array<MutantState>(mutants.length).fill('untested');
  const size =
    run.relocations === undefined
      ? 1
      : Math.max(1, Math.min(BATCH, Math.floor(MAX_BATCH_DATA / (JSON.stringify(run.data).length + 1))));
  const queue: number[][] = [];
  for (let from = 0; from < mutants.length; from += size)
    queue.push(Array.from({ length: Math.min(size, mutants.length - from) }, (_, i) => from + i));
  const deadline = performance.now() + options.maxSeconds * 1000;
  let done = 0;
  const lane = async (): Promise<void> => {
    for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) {
      if (performance.now() > deadline) return;
      await judgeBatch(run, mutants, batch, states);
      done += batch.length;
      options.progress.fraction(done, mutants.length, 'mutants tested');
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return states;
}

async function judgeBatch(run: Run, mutants: readonly Mutant[], batch: readonly number[], states: MutantState[]): Promise<void> {
  let rest = batch;
  // Mutants that don't compile are named by OPA; each stage of its compiler may name others.
  for (;;) {
    if (rest.length === 0) return;
    const modules = variants(run, mutants, rest);
    try {
      const results = await run.opa.test(modules, dataOf(run, rest));
      const failed = new Set(
        results.filter((r) => r.outcome === 'fail' || r.outcome === 'error').map((r) => ownerOf(run, rest, r.package)),
      );
      for (const index of rest) states[index] = failed.has(index) ? 'killed' : 'survived';
      return;
    } catch (error) {
      if (!(error instanceof OpaRefused)) throw error;
      if (error.problems.every((p) => p.code === 'limit')) {
        // One that takes OPA a minute is noticed by anybody who runs the tests.
        if (rest.length === 1) states[rest[0]!] = 'killed';
        else for (const half of halves(rest)) await judgeBatch(run, mutants, half, states);
        return;
      }
      const problems = await run.opa.check(modules, dataOf(run, rest), { strict: false, maxErrors: 10_000 });
      const broken = new Set(
        [...problems, ...error.problems].flatMap((p) =>
          p.location === undefined ? [] : [ownerOf(run, rest, `data.${p.location.file.replaceAll('/', '.')}`)],
        ),
      );
      const named = rest.filter((index) => broken.has(index));
      if (named.length === 0) {
        if (rest.length === 1) states[rest[0]!] = 'invalid';
        else for (const half of halves(rest)) await judgeBatch(run, mutants, half, states);
        return;
      }
      for (const index of named) states[index] = 'invalid';
      rest = rest.filter((index) => !broken.has(index));
    }
  }
}

function halves<T>(list: readonly T[]): readonly (readonly T[])[] {
  const middle = Math.ceil(list.length / 2);
  return [list.slice(0, middle), list.slice(middle)];
}

/** The modules of some mutants: beside each other, or the one alone. */
function variants(run: Run, mutants: readonly Mutant[], batch: readonly number[], only?: Modules): Modules {
  if (run.relocations === undefined) {
    const mutant = mutants[batch[0]!]!;
    const text = applyEdits(run.everything.get(mutant.file)!, mutant.edits);
    const modules = new Map(run.everything).set(mutant.file, text);
    return only === undefined ? modules : new Map([...modules].filter(([path]) => only.has(path)));
  }
  const relocations = only === undefined ? run.relocations : new Map([...run.relocations].filter(([path]) => only.has(path)));
  return new Map(
    batch.flatMap((index) => {
      const mutant = mutants[index]!;
      return [...copyUnder(rootOf(index), relocations, new Map([[mutant.file, mutant.edits]]))];
    }),
  );
}

function rootOf(index: number): string {
  return `m${index}`;
}

function dataOf(run: Run, batch: readonly number[]): JsonObject {
  return run.relocations === undefined ? run.data : dataUnder(batch.map(rootOf), run.data);
}

/** Which mutant a package (`data.m7.routing_test`) belongs to. */
function ownerOf(run: Run, batch: readonly number[], name: string): number {
  return run.relocations === undefined ? batch[0]! : Number(/^data\.m(?<index>\d+)\b/.exec(name)?.groups?.['index'] ?? -1);
}

/** Tells equivalent mutants from survivors, by evaluating both on the domain. */
async function compareSurvivors(
  run: Run,
  pool: EvaluatorPool,
  judged: readonly Judged[],
  { against, maxPoints, progress }: MutationOptions,
): Promise<Pick<MutationResult, 'judged' | 'points'>> {
  const { side, entrypoint, domain } = against!;
  const mutants = judged.map((j) => j.mutant);
  const open = new Map<number, { program: number; entrypoint: string }>();
  const size =
    run.relocations === undefined
      ? 1
      : Math.max(1, Math.min(BATCH, Math.floor(MAX_BATCH_DATA / (JSON.stringify(run.data).length + 1))));
  const survivors = judged.flatMap((j, index) => (j.state === 'survived' ? [index] : []));
  for (let from = 0; from < survivors.length; from += size)
    await compileVariants(run, pool, mutants, survivors.slice(from, from + size), {
      entrypoint,
      only: side.source.modules,
      open,
    });
  const witnesses = new Map<number, NonNullable<Judged['witness']>>();
  const total = Math.min(domain.size, maxPoints);
  const compiled = new Set(open.keys());
  const points = pointsOf(domain, total);
  let examined = 0;
  for (let chunk = take(points, CHUNK); chunk.length > 0 && open.size > 0; chunk = take(points, CHUNK)) {
    const inputs = chunk.map((digits) => JSON.stringify(inputOf(domain, digits)));
    const plain = await pool.outcomes(side.plain, entrypoint, inputs);
    await Promise.all(
      [...open].map(async ([index, variant]) => {
        const outcomes = await pool.outcomes(variant.program, variant.entrypoint, inputs);
        const at = outcomes.findIndex((outcome, i) => !sameOutcome(outcome, plain[i]!));
        if (at < 0) return;
        witnesses.set(index, {
          input: JSON.parse(inputs[at]!) as Json,
          before: decisionOf(plain[at]!),
          after: decisionOf(outcomes[at]!),
        });
        open.delete(index);
      }),
    );
    examined += chunk.length;
    progress.fraction(examined, total, 'points compared');
  }
  const rest: MutantState = total >= domain.size ? 'equivalent' : 'undecided';
  return {
    judged: judged.map((j, index) => {
      if (j.state !== 'survived' || !compiled.has(index)) return j;
      const witness = witnesses.get(index);
      return witness === undefined ? { ...j, state: rest } : { ...j, witness };
    }),
    points: { examined: total, size: domain.size },
  };
}

async function compileVariants(
  run: Run,
  pool: EvaluatorPool,
  mutants: readonly Mutant[],
  batch: readonly number[],
  into: {
    readonly entrypoint: string;
    readonly only: Modules;
    readonly open: Map<number, { program: number; entrypoint: string }>;
  },
): Promise<void> {
  const name = (index: number): string =>
    run.relocations === undefined ? into.entrypoint : `${rootOf(index)}/${into.entrypoint}`;
  try {
    const program = pool.add(
      await compileProgram(run.opa, variants(run, mutants, batch, into.only), dataOf(run, batch), batch.map(name)),
    );
    for (const index of batch) into.open.set(index, { program, entrypoint: name(index) });
  } catch (error) {
    if (!(error instanceof OpaRefused || error instanceof PolicyLoadError)) throw error;
    // A survivor that WASM can't load stays one, without an input to show it.
    if (batch.length > 1) for (const half of halves(batch)) await compileVariants(run, pool, mutants, half, into);
  }
}
