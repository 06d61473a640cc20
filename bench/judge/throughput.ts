/**
 * Cost of the judge on this machine, each against plain sorting of the same data in the same minute (the lower bound of any rank test).
 *   node bench/judge/throughput.ts [--cli dist/cli.js]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { judgeLine } from '../../src/canary/batch.ts';
import { judgeCase } from '../../src/canary/judge/judge.ts';
import type { CaseInput } from '../../src/canary/judge/types.ts';
import { createRng } from '../../src/stats/rng.ts';
import { lognormal } from './generate.ts';

const { values: options } = parseArgs({
  options: { cli: { type: 'string', default: join(import.meta.dirname, '../../src/cli.ts') } },
});

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

/** A process of its own that reads, parses and sorts the same lines. */
const SORT_LINES = `for (const line of require('node:fs').readFileSync(process.argv[1], 'utf8').trim().split('\\n'))
  for (const { baseline, candidate } of JSON.parse(line).metrics)
    for (const values of [baseline, candidate]) Float64Array.from(values).sort();`;

function throughProcess(): void {
  const directory = mkdtempSync(join(tmpdir(), 'mixgate-throughput-'));
  try {
    const many = Array.from({ length: 4 }, () => lines).flat();
    const file = join(directory, 'cases.ndjson');
    const single = join(directory, 'case.ndjson');
    writeFileSync(file, `${many.join('\n')}\n`);
    writeFileSync(single, `${lines[0]}\n`);
    const answers = join(directory, 'answers.ndjson');
    const judge = (cases: string): void =>
      writeFileSync(
        answers,
        execFileSync(process.execPath, [resolve(options.cli), 'canary', 'judge', '--batch', cases], {
          cwd: directory,
          maxBuffer: 2 ** 30,
          stdio: ['ignore', 'pipe', 'ignore'],
        }),
      );
    const start = seconds(() => judge(single));
    const all = seconds(() => judge(file));
    const answered = readFileSync(answers, 'utf8').trim().split('\n').length;
    if (answered !== many.length) throw new Error(`${answered} answers to ${many.length} cases`);
    const sort = seconds(() => execFileSync(process.execPath, ['-e', SORT_LINES, file]));
    console.log(
      `mixgate canary judge --batch: ${many.length} cases in ${all.toFixed(2)} s, ${start.toFixed(2)} s of it start-up and one case = ${Math.round(many.length / all)} cases/s (bar 200); ${(all / sort).toFixed(1)} x a process that parses and sorts the same lines`,
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
throughProcess();

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
