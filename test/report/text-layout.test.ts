import { expect, test } from 'vitest';
import { textTable } from '../../src/report/text-layout.ts';

test('a narrow table breaks names and between the ends of an interval, not numbers and verdicts', () => {
  const lines = textTable(
    ['Metric', 'Effect [interval]', 'Verdict'],
    [['divergence of next-token distributions', '+8.55e-5 [5.00e-5,\u00a00.00012]', 'inconclusive']],
    42,
  );
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(42);
  const words = lines.join('\n').split(/\s+/);
  expect(words).toEqual(expect.arrayContaining(['+8.55e-5', '[5.00e-5,', '0.00012]', 'inconclusive']));
});
