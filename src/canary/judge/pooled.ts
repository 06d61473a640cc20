import { normalQuantile } from '../../stats/distributions.ts';
import { type PooledEffect, poolEffects, stratifiedTest } from '../../stats/meta-analysis.ts';
import { type Assessment, type Blocked, isBlocked } from './assessment.ts';
import type { Levels } from './decide.ts';
import { formatEffect } from './format.ts';
import type { Scale } from './scale.ts';
import type { MetricInput, PooledResult } from './types.ts';

/** One metric over its segments, before it is decided. */
export interface Pool {
  readonly metric: MetricInput;
  readonly segments: readonly string[];
  readonly effects: PooledEffect;
  /** p that the candidate is worse, over all segments. */
  readonly pHarm: number;
  /** The case asks for no verdict over everything, so this gives one. */
  readonly tested: boolean;
  /** Independent points of the smaller arm, over all segments. */
  readonly size: number;
  readonly logarithmic: boolean;
  readonly unit: 'relative' | 'absolute';
  readonly margin: number;
  readonly relevance: number;
}

/** Tail at which a segment's standard error is read off its interval. */
const TAIL = 0.05;

/**
 * The metrics of a case that have at least two plain segments to pool. Groups such as `language=de` overlap with the segments and are left
 * out. Segments must be compared on one scale (all ratios, or all differences).
 */
export function pools(metrics: readonly MetricInput[], states: readonly (Assessment | Blocked)[]): Pool[] {
  const result: Pool[] = [];
  for (const name of new Set(metrics.map((metric) => metric.name))) {
    const own = metrics.flatMap((metric, index) => {
      const state = states[index]!;
      if (metric.name !== name || metric.segment === undefined || metric.segment.includes('=') || isBlocked(state)) return [];
      const standardError = errorOf(state);
      return standardError > 0 && Number.isFinite(standardError) ? [{ metric, state, standardError }] : [];
    });
    const [first] = own;
    if (first === undefined || own.length < 2) continue;
    const { scale } = first.state;
    if (own.some(({ state, metric }) => state.scale.kind !== scale.kind || metric.direction !== first.metric.direction)) continue;
    const { direction } = first.metric;
    const { pLarger, pSmaller } = stratifiedTest(own.map(({ state, standardError }) => ({ ...state, standardError })));
    result.push({
      metric: first.metric,
      segments: own.map(({ metric }) => metric.segment!),
      effects: poolEffects(
        own.map(({ state, standardError }) => ({ effect: comparable(state.scale, state.delta), standardError })),
      ),
      pHarm: direction === 'lower' ? pLarger : direction === 'higher' ? pSmaller : Math.min(1, 2 * Math.min(pLarger, pSmaller)),
      tested: !metrics.some((metric) => metric.name === name && metric.segment === undefined),
      size: own.reduce((sum, { state }) => sum + Math.min(...state.nEff), 0),
      logarithmic: scale.kind === 'log',
      unit: scale.unit,
      margin: Math.min(...own.map(({ state }) => state.margin)),
      relevance: Math.min(...own.map(({ state }) => state.relevance)),
    });
  }
  return result;
}

/** Log-ratios as they are; differences in the unit of the effect, so that a share of each segment's own level can be averaged. */
function comparable(scale: Scale, delta: number): number {
  return scale.kind === 'log' ? delta : scale.toEffect(delta);
}

function errorOf({ scale, bounds }: Assessment): number {
  const { low, high } = bounds(TAIL);
  return (comparable(scale, high) - comparable(scale, low)) / (2 * -normalQuantile(TAIL));
}

/**
 * Verdict over all segments. It fails as a metric does. It passes only when the wider of both intervals, of a common effect and of effects
 * that differ, is inside the margin; segments that certainly differ warn, so that a bad one is not averaged away.
 */
export function decidePool(pool: Pool, levels: Levels): PooledResult {
  const { metric, effects, unit, margin, relevance } = pool;
  const { direction } = metric;
  const level = levels.nominal;
  const back = (value: number): number => (pool.logarithmic ? Math.expm1(value) : value);
  const intervalOf = ({ effect, standardError }: { effect: number; standardError: number }): readonly [number, number] => {
    const half = -normalQuantile(level) * standardError;
    return [back(effect - half), back(effect + half)];
  };
  const effect = back(effects.effect);
  const [common, random] = [intervalOf(effects), intervalOf(effects.random)];
  const [low, high] = [Math.min(common[0], random[0]), Math.max(common[1], random[1])];
  const sign = direction === 'higher' || (direction === 'either' && effect < 0) ? -1 : 1;
  const inside = (direction === 'higher' || high < margin) && (direction === 'lower' || -low < margin);
  const shown = `${formatEffect(effect, unit)} [${formatEffect(common[0], unit)}, ${formatEffect(common[1], unit)}] over ${pool.segments.length} segments`;
  const spread = `segments differ: I² ${(100 * effects.iSquared).toFixed(0)} %, Q ${effects.q.toFixed(1)} at ${effects.df} degrees of freedom, p ${effects.pValue.toPrecision(2)}`;
  const differ = effects.pValue <= levels.warn;
  const certain = levels.adjust(pool.pHarm) <= levels.alpha;

  const outcome = ((): { verdict: 'fail' | 'warn' | 'pass' | 'inconclusive'; reason: string } => {
    if (certain && sign * effect >= relevance && sign * effect > 0)
      return {
        verdict: 'fail',
        reason: `worse by ${shown}, beyond ${formatEffect(relevance, unit)}${differ ? `; ${spread}` : ''}`,
      };
    if (differ) return { verdict: 'warn', reason: `${spread}; together ${shown}` };
    if (certain) return { verdict: 'warn', reason: `worse by ${shown}, real but below ${formatEffect(relevance, unit)}` };
    if (inside) return { verdict: 'pass', reason: `change ${shown} stays within the margin of ${formatEffect(margin, unit)}` };
    return { verdict: 'inconclusive', reason: `change ${shown} does not rule out ${formatEffect(margin, unit)}` };
  })();

  return {
    name: metric.name,
    ...(pool.tested ? { verdict: outcome.verdict, reason: outcome.reason } : { reason: differ ? spread : 'segments agree' }),
    effect,
    effectUnit: unit,
    interval: common,
    random: { effect: back(effects.random.effect), interval: random },
    intervalLevel: 1 - 2 * level,
    margin,
    relevance,
    heterogeneity: { q: effects.q, df: effects.df, pValue: effects.pValue, iSquared: effects.iSquared },
    segments: pool.segments.map((segment, i) => ({ segment, weight: effects.weights[i]! })),
    ...(pool.tested ? { pValue: pool.pHarm, pAdjusted: levels.adjust(pool.pHarm) } : {}),
  };
}
