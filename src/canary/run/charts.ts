import type { Chart } from '../../core/gate.ts';
import type { CaseInput, CaseResult } from '../judge/types.ts';
import { distributionCharts, forestCharts } from '../metric-charts.ts';
import type { ExpertReport } from './experts.ts';

/** The pictures of a canary run: how each metric stands against its margin, where quality is lost, and the distributions. */
export function canaryCharts(input: CaseInput, judged: CaseResult, experts: ExpertReport | undefined): Chart[] {
  return [
    ...forestCharts(judged),
    ...(experts === undefined ? [] : [expertHeatmap(experts)]),
    ...distributionCharts(input, judged),
  ];
}

function expertHeatmap(experts: ExpertReport): Chart {
  const values = experts.beginnings ?? experts.heatmap;
  const text =
    experts.beginnings === undefined
      ? {
          title: 'Where quality is lost: change of the next token’s likelihood by expert',
          note: 'Nats per token that go with one expert when the others are held fixed; higher is harder to predict.',
        }
      : {
          title: 'Where changes begin: the experts of the first changed token',
          note: 'Share of the changed prompts. A damaged expert is in every one of them; others are where the same tokens go.',
        };
  return {
    kind: 'heatmap',
    ...text,
    xLabel: 'expert',
    yLabel: 'layer',
    xCategories: values[0]!.map((_, expert) => String(expert)),
    yCategories: values.map((_, layer) => String(layer)),
    values: values.map((row) => row.map((value) => Number(value.toPrecision(3)))),
    ...(experts.beginnings === undefined ? {} : { min: 0, max: 1 }),
  };
}
