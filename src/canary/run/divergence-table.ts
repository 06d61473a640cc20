import type { Table } from '../../core/gate.ts';
import { compareText } from '../../core/text.ts';
import type { CanaryPoint } from './points.ts';

/** Divergence of next-token distributions over single tokens, by segment: mean, median, 99 % and 99.9 %, and the largest, in nats. */
export function divergenceTable(points: readonly CanaryPoint[]): Table | undefined {
  const values = new Map<string, number[]>([['all', []]]);
  for (const point of points) {
    if (point.metric !== 'kld' || point.tags['block'] !== 'ab' || point.tokens === undefined) continue;
    const own = point.tokens.split(' ').map(Number).filter(Number.isFinite);
    const segment = point.tags['segment'] ?? '';
    const before = values.get(segment) ?? [];
    for (const value of own) {
      before.push(value);
      values.get('all')!.push(value);
    }
    values.set(segment, before);
  }
  if (values.get('all')!.length === 0) return undefined;
  return {
    title: 'Divergence of next-token distributions, by token',
    columns: ['segment', 'tokens', 'mean', 'median', '99 %', '99.9 %', 'largest'],
    rows: [...values.entries()]
      .filter(([, list]) => list.length > 0)
      .sort(([a], [b]) => (a === 'all' ? -1 : b === 'all' ? 1 : compareText(a, b)))
      .map(([segment, list]) => {
        const sorted = Float64Array.from(list).sort();
        const at = (share: number): string =>
          sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!.toPrecision(3);
        const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
        // A quantile needs a few points beyond it.
        const tail = (share: number): string => ((1 - share) * list.length >= 1 ? at(share) : '-');
        return [segment, String(list.length), mean.toPrecision(3), at(0.5), tail(0.99), tail(0.999), at(1)];
      }),
    note: 'Kullback-Leibler divergence in nats, a lower bound from the listed alternatives. - where too few tokens lie beyond the quantile.',
  };
}
