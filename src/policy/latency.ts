import type { Finding } from '../core/finding.ts';
import type { Measurement, Table } from '../core/gate.ts';
import { benchmark, type Latency, pairedBenchmark } from './bench.ts';
import { policyFinding } from './rules.ts';
import type { Side } from './side.ts';

/** Inline budget of one decision: a router can't spend more before the first token. */
export const DEFAULT_BUDGET_MS = 10;
/** A median that grew by less than this, or by a ratio that is not surely above half more, is no regression. */
const REGRESSION_FACTOR = 1.5;
const REGRESSION_MS = 0.05;

const VERDICT_TEXT = {
  slower: 'slower by more than half',
  within: 'not slower by half',
  undecided: 'cannot tell',
} as const;

export interface LatencyResult {
  readonly findings: readonly Finding[];
  readonly measurements: readonly Measurement[];
  readonly tables: readonly Table[];
  /** Entrypoints of which the regression test could not tell. */
  readonly undecided: readonly string[];
}

/** p50 and p99 of each entrypoint against the budget, and against base where there is one. */
export async function judgeLatency(
  head: Side,
  base: Side | undefined,
  inputs: readonly string[],
  options: { readonly budgetMs: number; readonly rounds: number; readonly entrypoints?: readonly string[] },
): Promise<LatencyResult> {
  const findings: Finding[] = [];
  const measurements: Measurement[] = [];
  const rows: string[][] = [];
  const undecided: string[] = [];
  for (const entrypoint of options.entrypoints ?? head.entrypoints) {
    const paired =
      base?.entrypoints.includes(entrypoint) === true
        ? await pairedBenchmark(base, head, entrypoint, inputs, { rounds: options.rounds, factor: REGRESSION_FACTOR })
        : undefined;
    const now = paired?.head ?? (await benchmark(head, entrypoint, inputs, options.rounds));
    const before = paired?.base;
    if (paired?.verdict === 'undecided') undecided.push(entrypoint);
    measurements.push(...measure(now, before, options.budgetMs));
    rows.push([
      entrypoint,
      ms(now.p50),
      ms(now.p99),
      ms(options.budgetMs),
      before === undefined ? '' : ms(before.p50),
      before === undefined ? '' : ms(before.p99),
      paired === undefined ? '' : `${paired.ratio.toFixed(2)} (${VERDICT_TEXT[paired.verdict]})`,
      String(now.n),
    ]);
    const location = head.graph.byRule.get(entrypoint.replaceAll('/', '.'))?.[0]?.location;
    if (now.p99 > options.budgetMs) {
      findings.push(
        policyFinding('policy-latency-over-budget', {
          message: `The p99 evaluation latency of ${entrypoint} is over the budget of ${options.budgetMs} ms.`,
          location,
          subject: entrypoint,
          evidence: { p50Ms: now.p50, p99Ms: now.p99, budgetMs: options.budgetMs, n: now.n },
          fix: 'Narrow the entrypoint to what the router reads, move topology from input to data, and avoid loops over loops.',
        }),
      );
    }
    if (paired?.verdict === 'slower' && before !== undefined && now.p50 - before.p50 > REGRESSION_MS) {
      findings.push(
        policyFinding('policy-latency-regressed', {
          message: `The median evaluation latency of ${entrypoint} grew by more than half against base.`,
          location,
          subject: entrypoint,
          evidence: { ratio: paired.ratio, baseP50Ms: before.p50, headP50Ms: now.p50, baseP99Ms: before.p99, headP99Ms: now.p99 },
          fix: 'Look for a new loop over pools, tenants or rules.',
        }),
      );
    }
  }
  return {
    findings,
    measurements,
    undecided,
    tables: [
      {
        title: 'Policy evaluation latency',
        volatile: true,
        columns: ['Entrypoint', 'p50', 'p99', 'Budget', 'Base p50', 'Base p99', 'Head / base', 'Evaluations'],
        rows,
        note: 'In the WASM host, one thread, input parsing included. Base and head run in alternating blocks; a regression is a signed-rank test of their medians at 1 %.',
      },
    ],
  };
}

function measure(now: Latency, before: Latency | undefined, budgetMs: number): Measurement[] {
  const one = (name: string, value: number, baseline: number | undefined, limit?: number): Measurement => ({
    name: `policy.evaluation.${name}`,
    value,
    unit: 'ms',
    segment: now.entrypoint,
    n: now.n,
    volatile: true,
    ...(baseline === undefined ? {} : { baseline, candidate: value }),
    ...(limit === undefined ? {} : { limit }),
  });
  return [one('p50', now.p50, before?.p50), one('p99', now.p99, before?.p99, budgetMs)];
}

function ms(value: number): string {
  return `${value < 1 ? value.toFixed(4) : value.toFixed(2)} ms`;
}
