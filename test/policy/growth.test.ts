import { describe, expect, test } from 'vitest';
import { compileProgram } from '../../src/policy/compile.ts';
import { growthDimensions, growthReport, project } from '../../src/policy/growth.ts';
import { benchPolicy } from '../../src/policy/operations.ts';
import { policy, side, testBench } from './support.ts';

const bench = await testBench();
const REGO = [
  'package p',
  'decision := {"pools": count(known), "tenants": count(data.tenants), "small": small}',
  'known contains pool.id if {\n\tsome pool in input.fleet.pools\n\tdata.pools[pool.id]\n}',
  'default small := false',
  'small if count(input.fleet.pools) < 3',
].join('\n\n');
const DATA = { pools: { a: { zone: 1 }, b: { zone: 2 }, unused: {} }, tenants: { x: {}, y: {}, z: {} } };
const OPTIONS = {
  entrypoint: 'p/decision',
  inputs: ['{"fleet":{"pools":[{"id":"a"},{"id":"b"}]}}'],
  budgetMs: 10,
  rounds: 20,
  inputPath: ['fleet', 'pools'],
  dataPath: ['tenants'],
};

describe('what grows', () => {
  // Pools are found in the data under their own ids, tenants are all there, and copies of rules never decide.
  test.each<[number, number, number, object]>([
    [0, 2, 8, { pools: 8, tenants: 3, small: false }],
    [1, 3, 12, { pools: 2, tenants: 12, small: true }],
    [2, 4, 10, { pools: 2, tenants: 3, small: true }],
  ])('dimension %i: from %i to %i', async (index, from, to, decision) => {
    const prepared = await side(bench, await policy(REGO, DATA));
    const dimension = growthDimensions(prepared, OPTIONS)[index]!;
    expect(dimension.at(1).size).toBe(from);
    const { size, modules, data, inputs } = dimension.at(4);
    const program = bench.pool.add(await compileProgram(bench.opa, modules, data, ['p/decision']));
    const [outcome] = await bench.pool.outcomes(program, 'p/decision', inputs);
    expect([size, 'value' in outcome! && JSON.parse(outcome.value)]).toEqual([to, decision]);
  });
});

describe('projection', () => {
  const at = (...p99: number[]): { size: number; p50: number; p99: number }[] =>
    p99.map((value, i) => ({ size: 4 ** i * 10, p50: value / 2, p99: value }));
  test.each<[string, number[], object]>([
    ['9 us each, from 0.1 ms on', [0.19, 0.46, 1.54], { slope: 0.009, budgetAt: 1100, convex: false }],
    ['level', [0.2, 0.2, 0.2], { slope: 0, budgetAt: undefined }],
    ['falling', [0.3, 0.2, 0.1], { budgetAt: undefined }],
    ['as the square', [0.01, 0.16, 2.56], { convex: true }],
    ['over the budget where it was measured', [1, 12, 60], { budgetAt: 34 }],
  ])('%s', (_name, p99, line) => {
    const { slope, budgetAt, convex } = project(at(...p99), 10)!;
    expect({ slope: Number(slope.toFixed(9)), budgetAt, convex }).toMatchObject(line);
  });
  test('one size is no line', () => expect(project(at(1), 10)).toBeUndefined());
  test('the table says what one more costs, where the budget is met, and what to do when that is near', () => {
    const report = growthReport(
      'p/decision',
      [
        { what: 'members of input.fleet.pools', points: at(0.19, 0.46, 1.54) },
        { what: 'rules', points: at(1, 4, 16) },
        { what: 'entries of data.tenants', points: [], note: 'the data has no entries there' },
      ],
      10,
    );
    expect(report.tables[0]!.rows.map((row) => row.slice(4))).toEqual([
      ['9.00 us', 'reached at about 1,100', ''],
      ['100.00 us', 'reached at about 100', expect.stringContaining('Narrow the entrypoint')],
      ['', 'not measured: the data has no entries there', ''],
    ]);
    expect(report.charts[0]).toMatchObject({
      kind: 'line',
      series: [
        {
          points: [
            [10, 0.19],
            [40, 0.46],
            [160, 1.54],
          ],
        },
        {},
      ],
    });
  });
});

test('bench --growth gives the same structure each time: a table, a chart and measurements', async () => {
  const shape = async (): Promise<unknown> => {
    const gate = await benchPolicy(bench, await policy(REGO, DATA), {
      ...OPTIONS,
      entrypoints: ['p/decision'],
      document: undefined,
      growth: OPTIONS,
    });
    const table = gate.tables!.find((t) => t.title === 'Growth of p/decision')!;
    return [
      table.rows.map((row) => row.slice(0, 2)),
      gate.charts!.map((c) => c.title),
      gate.measurements!.filter((m) => /growth\.p/.test(m.name)).map((m) => [m.name, m.segment, m.volatile]),
    ];
  };
  const first = await shape();
  expect(await shape()).toEqual(first);
  expect(first).toMatchObject([
    [
      ['members of input.fleet.pools', '2 / 8 / 32'],
      ['entries of data.tenants', '3 / 12 / 48'],
      ['rules', '4 / 10 / 34'],
    ],
    ['Growth of p/decision: p99'],
    expect.arrayContaining([['policy.growth.p50', 'p/decision 8 members of input.fleet.pools', true]]),
  ]);
});
