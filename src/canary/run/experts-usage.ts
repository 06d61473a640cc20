import type { Table } from '../../core/gate.ts';
import type { CanaryPoint } from './points.ts';

type Counts = Map<number, Map<number, number>>;

const MAX_ID = 4096;

/**
 * Use of the experts of each layer in both arms: entropy in bits (at most log2 of the experts), skew as the coefficient of variation
 * (population sd / mean), and experts that no token reached. Undefined: the samples hold no router statistics.
 */
export function usageTable(points: readonly CanaryPoint[]): Table | undefined {
  const arms: Record<'baseline' | 'candidate', Counts> = { baseline: new Map(), candidate: new Map() };
  let experts = 0;
  for (const point of points) {
    const { arm, block, layer, expert } = point.tags;
    if (point.metric !== 'expert_slots' || block !== 'ab' || (arm !== 'baseline' && arm !== 'candidate')) continue;
    const [l, e] = [Number(layer), Number(expert)];
    if (!(l >= 0 && l < MAX_ID && e >= 0 && e < MAX_ID)) continue;
    experts = Math.max(experts, e + 1);
    const counts = arms[arm].get(l) ?? new Map<number, number>();
    counts.set(e, (counts.get(e) ?? 0) + point.value);
    arms[arm].set(l, counts);
  }
  const layers = [...new Set([...arms.baseline.keys(), ...arms.candidate.keys()])].sort((a, b) => a - b);
  if (layers.length === 0) return undefined;
  const both = (layer: number, show: (usage: Usage) => string): string =>
    `${show(usageOf(arms.baseline.get(layer), experts))} → ${show(usageOf(arms.candidate.get(layer), experts))}`;
  return {
    title: 'Use of experts by layer',
    columns: ['layer', 'entropy, bits', 'skew', 'unused experts'],
    rows: layers.map((layer) => [
      String(layer),
      both(layer, (usage) => usage.entropy.toFixed(3)),
      both(layer, (usage) => usage.skew.toFixed(3)),
      both(layer, (usage) => (usage.unused.length === 0 ? '-' : usage.unused.join(', '))),
    ]),
    note: `Baseline → candidate. Entropy is at most ${Math.log2(experts).toFixed(2)} bits; skew is sd / mean of the use.`,
  };
}

interface Usage {
  readonly entropy: number;
  readonly skew: number;
  readonly unused: readonly number[];
}

function usageOf(counts: ReadonlyMap<number, number> | undefined, experts: number): Usage {
  const values = Array.from({ length: experts }, (_, expert) => counts?.get(expert) ?? 0);
  const total = values.reduce((sum, value) => sum + value, 0);
  const unused = values.flatMap((value, expert) => (value === 0 ? [expert] : []));
  if (total === 0) return { entropy: 0, skew: 0, unused };
  const entropy = values.reduce((sum, value) => (value === 0 ? sum : sum - (value / total) * Math.log2(value / total)), 0);
  const mean = total / experts;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / experts;
  return { entropy, skew: Math.sqrt(variance) / mean, unused };
}

/** Perplexity of the tokens each expert served in the baseline, in both arms; the ten that changed most. */
export function expertPerplexityTable(points: readonly CanaryPoint[]): Table | undefined {
  const cells = new Map<string, { layer: number; expert: number; tokens: number; before: number; change: number }>();
  for (const point of points) {
    if (point.metric !== 'token_dnll' || point.tags['block'] !== 'ab' || point.tokens === undefined) continue;
    for (const word of point.tokens.split(' ')) {
      const [change, routes, before] = word.split(':');
      if (before === undefined || !Number.isFinite(Number(change)) || !Number.isFinite(Number(before))) continue;
      routes!.split(',').forEach((chosen, layer) => {
        for (const id of chosen === '' ? [] : chosen.split('+')) {
          if (!/^\d{1,4}$/.test(id)) continue;
          const key = `${layer} ${id}`;
          const cell = cells.get(key) ?? { layer, expert: Number(id), tokens: 0, before: 0, change: 0 };
          cell.tokens += 1;
          cell.before += Number(before);
          cell.change += Number(change);
          cells.set(key, cell);
        }
      });
    }
  }
  if (cells.size === 0) return undefined;
  const rows = [...cells.values()].sort((a, b) => Math.abs(b.change / b.tokens) - Math.abs(a.change / a.tokens)).slice(0, 10);
  return {
    title: 'Perplexity by expert',
    columns: ['layer', 'expert', 'tokens', 'baseline', 'candidate'],
    rows: rows.map(({ layer, expert, tokens, before, change }) => [
      String(layer),
      String(expert),
      String(tokens),
      Math.exp(before / tokens).toFixed(2),
      Math.exp((before + change) / tokens).toFixed(2),
    ]),
    note: 'Of the tokens the expert helped to predict in the baseline. Each token counts for every expert it used.',
  };
}
