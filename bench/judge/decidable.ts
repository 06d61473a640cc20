/**
 * How much of `inconclusive` is the data's fault: the share of runs that pass, beside the largest share that any test of this level could
 * pass that is told the true standard error, where nothing is wrong. Seeds as in simulate.ts.
 *   node bench/judge/decidable.ts --runs 2000
 */
import { parseArgs } from 'node:util';
import { judgeCase } from '../../src/canary/judge/judge.ts';
import type { Design, Margin, MetricInput, MetricKind } from '../../src/canary/judge/types.ts';
import { normalCdf, normalQuantile } from '../../src/stats/distributions.ts';
import { createRng, type Rng } from '../../src/stats/rng.ts';
import { ar1, lognormal, poisson, SIGMA, zeroInflated } from './generate.ts';

const LEVEL = 0.05;
const MARGIN = 0.25;
const Z = -normalQuantile(LEVEL);

interface Row {
  readonly name: string;
  readonly kind: MetricKind;
  readonly design?: Design;
  readonly n: number;
  readonly margin?: Margin;
  readonly make: (n: number, rng: Rng) => number[];
  /** Standard error of the estimated effect of one arm's point, on the scale of `limit`: divided by sqrt(n), times sqrt(2). */
  readonly unitError: number;
  /** The margin on the same scale. */
  readonly limit: number;
}

/** ln(1 + margin): what a ratio must stay below. */
const ratio = (margin: number): number => Math.log1p(margin);

/** Relative standard deviation of a mean of points that are zero with chance 0.7, else lognormal. */
const ZERO_INFLATED = Math.sqrt(Math.exp(SIGMA * SIGMA) / 0.3 - 1);

/** A Poisson count with a lognormal rate of median 5 and sigma 0.7. */
const MEAN = 5 * Math.exp(0.7 ** 2 / 2);
const OVERDISPERSED = Math.sqrt(1 / MEAN + Math.expm1(0.7 ** 2));
const mixed = (n: number, rng: Rng): number[] =>
  Array.from({ length: n }, () => poisson(1, 5 * Math.exp(0.7 * rng.normal()), rng)[0]!);

/** Of a long AR(1) series a mean is as uncertain as of (1 - phi) / (1 + phi) times as many points. */
const dependent = (phi: number): number => SIGMA * Math.sqrt((1 + phi) / (1 - phi));

const ROWS: readonly Row[] = [
  ...[60, 180, 600, 1800].map((n) => row('zero-inflated', 'continuous', n, zeroInflated, ZERO_INFLATED, MARGIN)),
  ...[60, 180].map((n) =>
    row('zero-inflated, margin 50 %', 'continuous', n, zeroInflated, ZERO_INFLATED, 0.5, { relative: 0.5 }),
  ),
  ...[60, 180, 600].map((n) =>
    row('Poisson counts of 2', 'count', n, (m, rng) => poisson(m, 2, rng), Math.sqrt(1 / 2), ratio(MARGIN)),
  ),
  ...[60, 180, 600].map((n) => row('overdispersed counts', 'count', n, mixed, OVERDISPERSED, ratio(MARGIN))),
  ...[60, 180].flatMap((n) =>
    [0.3, 0.6, 0.8, 0.9].map((phi) =>
      row(`AR(1) phi=${phi}`, 'continuous', n, (m, rng) => ar1(m, phi, rng), dependent(phi), ratio(MARGIN)),
    ),
  ),
  row('independent', 'continuous', 10, lognormal, SIGMA, ratio(MARGIN)),
];

function row(
  name: string,
  kind: MetricKind,
  n: number,
  make: Row['make'],
  unitError: number,
  limit: number,
  margin?: Margin,
): Row {
  return { name: `${name} n=${n}`, kind, n, make, unitError, limit, ...(margin === undefined ? {} : { margin }) };
}

const { values } = parseArgs({ options: { runs: { type: 'string', default: '2000' } } });
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) {
  process.stderr.write(`--runs: expected a whole number of at least 1, got ${values.runs}\n`);
  process.exit(2);
}
console.log('| series | passes | best possible | inconclusive | fails | points for 80 % |');
console.log('| --- | --- | --- | --- | --- | --- |');
for (const { name, kind, n, margin, make, unitError, limit } of ROWS) {
  const counts = { fail: 0, warn: 0, pass: 0, inconclusive: 0, error: 0 };
  for (let run = 0; run < runs; run++) {
    const rng = createRng(`${name}/${run}`);
    const metric: MetricInput = {
      name: 'm',
      kind,
      direction: 'lower',
      ...(margin === undefined ? {} : { margin }),
      baseline: make(n, rng),
      candidate: make(n, rng),
    };
    counts[judgeCase({ id: 'sim', design: 'unpaired', alpha: LEVEL, metrics: [metric] }).verdict]++;
  }
  const error = (unitError * Math.SQRT2) / Math.sqrt(n);
  const needed = 2 * (((Z + normalQuantile(0.8)) * unitError) / limit) ** 2;
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  console.log(
    `| ${name} | ${percent((counts.pass + counts.warn) / runs)} | ${percent(Math.max(0, normalCdf(limit / error - Z)))} | ${percent(counts.inconclusive / runs)} | ${percent(counts.fail / runs)} | ${Math.ceil(needed)} |`,
  );
}
