import { type Arms, prepareArms } from './judge/arms.ts';
import { countedIncrements } from './judge/counters.ts';
import type { CaseInput, CaseResult, MetricInput, MetricResult } from './judge/types.ts';
import { decidingFirst } from './run/metric-table.ts';

/** A metric with what the judge made of it. */
export interface JudgedMetric {
  readonly input: MetricInput;
  readonly result: MetricResult;
}

/** The metrics of a case in the order in which they decide. */
export function judgedMetrics(input: CaseInput, judged: CaseResult): readonly JudgedMetric[] {
  const inputs = new Map(judged.metrics.map((result, index) => [result, input.metrics[index]]));
  return decidingFirst(judged.metrics).flatMap((result) => {
    const metric = inputs.get(result);
    return metric === undefined ? [] : [{ input: metric, result }];
  });
}

/** Both arms as the judge sees them: in order of time, without missing points, a counter as its growth. */
export function armsOf(metric: MetricInput, design: CaseInput['design']): Arms {
  return prepareArms(metric.cumulative === true ? countedIncrements(metric) : metric, design);
}
