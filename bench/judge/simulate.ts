/**
 * Simulated error rates of the judge. Every run's data come from a published seed: `<scenario name>/<run number>`.
 *   node bench/judge/simulate.ts --runs 2000 --only "AR(1)"
 */
import { parseArgs } from 'node:util';
import { judgeCase } from '../../src/canary/judge/judge.ts';
import { createRng } from '../../src/stats/rng.ts';
import { type Bar, barState, barText, monteCarloError, type Shares } from './bars.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { PLANS, runSequential, type SequentialRow } from './sequential.ts';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '2000' }, only: { type: 'string' } } });
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) {
  process.stderr.write(`--runs: expected a whole number of at least 1, got ${values.runs}\n`);
  process.exit(2);
}

function percent(count: number, of: number): string {
  return ((100 * count) / of).toFixed(1).padStart(5);
}

/** Monte Carlo standard error of a share, in points. */
function error(count: number, of: number): string {
  return `±${(100 * monteCarloError(count / of, of)).toFixed(1)}`;
}

const missed: string[] = [];

/** Two table cells: the bar and whether it is met. */
function verdictCells(name: string, bar: Bar, shares: Shares): string {
  const state = barState(bar, shares);
  if (state === 'NOT MET') missed.push(name);
  return `${barText(bar)} | ${state}`;
}

function simulate(scenario: Scenario): string {
  const counts = { fail: 0, warn: 0, pass: 0, inconclusive: 0, error: 0 };
  let peer = 0;
  const total = runs;
  for (let run = 0; run < total; run++) {
    const input = scenario.make(createRng(`${scenario.name}/${run}`), run);
    counts[judgeCase(input).verdict]++;
    if (scenario.peer?.(input) === true) peer++;
  }
  const reference = scenario.peer === undefined ? '' : percent(peer, total);
  const shares: Shares = {
    runs: total,
    fail: counts.fail / total,
    inconclusive: counts.inconclusive / total,
    ...(scenario.peer === undefined ? {} : { peer: peer / total }),
  };
  return `| ${scenario.name.padEnd(28)} | ${percent(counts.fail, total)} ${error(counts.fail, total)} | ${percent(counts.warn, total)} | ${percent(counts.inconclusive, total)} | ${percent(counts.pass, total)} | ${reference.padStart(5)} | ${verdictCells(scenario.name, scenario.bar, shares)} | ${total} |`;
}

/** Nothing wrong: the level holds over all looks. +20 %: stopped, at the median, by half of the horizon. */
function sequentialCells(name: string, factor: number, row: SequentialRow): string {
  if (factor === 1) return verdictCells(name, { failAtMost: 0.05 }, { runs, fail: row.fail, inconclusive: 0 });
  const met = row.medianStop <= row.horizon / 2;
  if (!met) missed.push(name);
  return `median stop <= ${row.horizon / 2} | ${met ? 'met' : 'NOT MET'}`;
}

const wanted = (name: string): boolean => values.only === undefined || name.toLowerCase().includes(values.only.toLowerCase());
for (const group of ['false-alarm', 'power'] as const) {
  const rows = SCENARIOS.filter((s) => s.group === group && (wanted(s.name) || values.only === group));
  if (rows.length === 0) continue;
  console.log(
    `\n${group === 'power' ? 'Power: share caught' : 'False alarms: nothing is wrong'} (percent, ± Monte Carlo standard error)\n`,
  );
  console.log('| scenario | fail | warn | inconclusive | pass | classical test | bar | | runs |');
  console.log('|---|---|---|---|---|---|---|---|---|');
  for (const row of rows) console.log(simulate(row));
}
const plans = PLANS.filter((plan) => wanted(plan.name) || values.only === 'sequential');
if (plans.length > 0) {
  const total = runs;
  console.log('\nRepeated looks at growing data (x1: nothing is wrong; x1.2: +20 %)\n');
  console.log('| plan | fail at any look | median stop | horizon | bar | | runs |');
  console.log('|---|---|---|---|---|---|---|');
  for (const plan of plans) {
    const row = runSequential(plan, total);
    console.log(
      `| ${row.name} | ${percent(row.fail * total, total)} ${error(row.fail * total, total)} | ${row.medianStop} | ${row.horizon} | ${sequentialCells(plan.name, plan.factor, row)} | ${total} |`,
    );
  }
}
if (missed.length > 0) {
  console.log(`\nNOT MET: ${missed.join('; ')}`);
  process.exitCode = 1;
}
