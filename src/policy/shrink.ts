import type { Dimension, Domain } from './domain.ts';
import { CHECK_ENTRYPOINT } from './invariants.ts';
import type { EvaluatorPool } from './pool.ts';
import { EvaluationLimit, type TaskDomain, type Violation } from './tasks.ts';

/** Points that are tried at a time: a simple value mostly is among the first. */
const CHUNK = 32;

/**
 * The choices of a dimension as their places in it, simplest first: the base value; then the order of the domain file, in
 * which numbers change places among themselves so that the one nearest to zero is first.
 */
function simplestFirst({ choices, base }: Pick<Dimension, 'choices' | 'base'>): readonly number[] {
  const numbers = [...choices.keys()]
    .filter((index) => typeof choices[index]!.json === 'number')
    .sort((a, b) => {
      const [x, y] = [choices[a]!.json as number, choices[b]!.json as number];
      return Math.abs(x) - Math.abs(y) || y - x;
    });
  let next = 0;
  const order = choices.map((choice, index) => (typeof choice.json === 'number' ? numbers[next++]! : index));
  return base === undefined ? order : [base, ...order.filter((index) => index !== base)];
}

/**
 * A violation made simple: each dimension in turn gets its simplest value (the base value above all) with which the same
 * invariant is still broken in the same way, until no single dimension can get a simpler one. What differs from the base
 * is never more than before. Deterministic. A point that runs into a limit of evaluation ends it early.
 * Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002) call the result 1-minimal.
 */
export async function shrink(
  pool: EvaluatorPool,
  program: number,
  violation: Violation,
  domain: Domain,
  task: TaskDomain,
): Promise<readonly number[]> {
  const orders = domain.dimensions.map(simplestFirst);
  /** The first of the points that shows the violation. */
  const first = async (points: readonly (readonly number[])[]): Promise<readonly number[] | undefined> => {
    for (let from = 0; from < points.length; from += CHUNK) {
      const digits = points.slice(from, from + CHUNK);
      const { violations } = await pool.run({
        kind: 'prove',
        program,
        entrypoint: CHECK_ENTRYPOINT,
        domain: task,
        from: 0,
        to: digits.length,
        digits,
      });
      // The base value comes first and is the only one that is nearer, so the nearest of a task is its first.
      const found = violations.find((v) => v.invariant === violation.invariant && v.message === violation.message);
      if (found !== undefined) return found.digits;
    }
    return undefined;
  };
  let best: readonly number[] = violation.digits;
  try {
    // Fields back to the base first: which value another field needs may depend on it.
    for (const onlyBase of [true, false]) {
      for (let d = 0, unchanged = 0; unchanged < orders.length; d = (d + 1) % orders.length) {
        const simpler = orders[d]!.slice(0, orders[d]!.indexOf(best[d]!));
        const tried = onlyBase ? simpler.filter((index) => index === domain.dimensions[d]!.base) : simpler;
        const found = await first(tried.map((index) => best.with(d, index)));
        unchanged = found === undefined ? unchanged + 1 : 0;
        best = found ?? best;
      }
    }
  } catch (error) {
    if (!(error instanceof EvaluationLimit)) throw error;
  }
  return best;
}
