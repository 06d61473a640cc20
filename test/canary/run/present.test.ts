import { expect, it } from 'vitest';
import { judgeCase } from '../../../src/canary/judge/judge.ts';
import { tables } from '../../../src/canary/run/present.ts';

it('the table shows what decides first', () => {
  const values = (shift: number): number[] => Array.from({ length: 60 }, (_, i) => 100 + ((i * 37) % 60) / 10 + shift);
  const metric = (name: string, shift: number) =>
    ({ name, kind: 'continuous', direction: 'lower', baseline: values(0), candidate: values(shift) }) as const;
  const judged = judgeCase({ id: 'a', design: 'unpaired', metrics: [metric('fine', 0), metric('worse', 40), metric('well', 0)] });
  const rows = tables(judged, undefined, undefined)[0]!.rows;
  expect(rows.map((row) => [row[0], row.at(-1)])).toEqual([
    ['worse', 'fail'],
    ['fine', 'pass'],
    ['well', 'pass'],
  ]);
});
