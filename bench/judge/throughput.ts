/**
 * Cost of the judge on this machine, each against plain sorting of the same data in the same minute (the lower bound of any rank test).
 *   node bench/judge/throughput.ts
 */
import { judgeLine } from '../../src/canary/batch.ts';
import { judgeCase } from '../../src/canary/judge/judge.ts';
import type { CaseInput } from '../../src/canary/judge/types.ts';
import { createRng } from '../../src/stats/rng.ts';
import { lognormal } from './generate.ts';

function seconds(work: () => void): number {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start) / 1e9;
}

function sortAll(input: CaseInput): void {
  for (const { baseline, candidate } of input.metrics)
    for (const values of [baseline, candidate]) Float64Array.from(values as number[]).sort();
}

const rng = createRng('throughput');
const small = Array.from({ length: 1000 }, (_, i): CaseInput => {
  return {
    id: `c${i}`,
    design: i % 2 === 0 ? 'paired' : 'unpaired',
    metrics: [{ name: 'm', kind: 'continuous', direction: 'lower', baseline: lognormal(60, rng), candidate: lognormal(60, rng) }],
  };
});
const lines = small.map((input) => JSON.stringify(input));
for (const line of lines.slice(0, 100)) judgeLine(line, 1);
const batch = seconds(() => {
  for (const [i, line] of lines.entries()) JSON.stringify(judgeLine(line, i + 1));
});
const batchSort = seconds(() => {
  for (const input of small) sortAll(input);
});
console.log(
  `batch: ${lines.length} cases of 60 + 60 points in ${batch.toFixed(2)} s = ${Math.round(lines.length / batch)} cases/s (bar 200); ${(batch / batchSort).toFixed(0)} x plain sorting`,
);

const sequential = small.map((input) => JSON.stringify({ ...input, looks: 20 }));
const looked = seconds(() => {
  for (const [i, line] of sequential.entries()) judgeLine(line, i + 1);
});
console.log(
  `batch with looks 20: ${Math.round(sequential.length / looked)} cases/s (its table of boundaries is filled on the way)`,
);

for (const design of ['unpaired', 'paired'] as const) {
  const large: CaseInput = {
    id: 'large',
    design,
    metrics: Array.from({ length: 100 }, (_, i) => ({
      name: `m${i}`,
      kind: 'continuous' as const,
      direction: 'lower' as const,
      baseline: lognormal(10_000, rng),
      candidate: lognormal(10_000, rng),
    })),
  };
  const time = seconds(() => judgeCase(large));
  const sort = seconds(() => sortAll(large));
  console.log(
    `${design}: 100 metrics x 10,000 + 10,000 points in ${time.toFixed(2)} s on one core (bar 5 s on two); ${(time / sort).toFixed(1)} x plain sorting`,
  );
}
