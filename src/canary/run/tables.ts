import type { Table } from '../../core/gate.ts';
import type { CaseResult } from '../judge/types.ts';
import type { ExpertReport } from './experts.ts';
import { metricTable } from './metric-table.ts';
import { metricDefinition } from './metrics.ts';
import { pooledTable } from './pooled-table.ts';
import { effectText } from './present.ts';

/** The tables of a judged case: its metrics, how the baseline differs from itself, and the experts that the loss goes with. */
export function tables(
  judged: CaseResult,
  noise: CaseResult | undefined,
  experts: ExpertReport | undefined,
  pairedBy = 'prompt',
): Table[] {
  const result: Table[] = [metricTable(judged, pairedBy)];
  const pooled = pooledTable(judged);
  if (pooled !== undefined) result.push(pooled);
  if (noise !== undefined) {
    result.push({
      title: 'Noise: the baseline against itself',
      columns: ['metric', 'effect [interval]', 'n'],
      rows: noise.metrics
        .filter((metric) => metric.segment === undefined)
        .map((metric) => [metricDefinition(metric.name).title, effectText(metric), String(Math.min(...metric.n))]),
    });
  }
  if (experts !== undefined) {
    result.push({
      title: 'Experts that the loss goes with',
      columns: ['layer', 'expert', 'changes begin at it', 'its own', 'mean on its tokens', 'on the others', 'tokens', 'p'],
      rows: byBeginning(experts)
        .slice(0, 5)
        .map((effect) => [
          String(effect.layer),
          String(effect.expert),
          beginsAt(experts, effect),
          `${effect.own.toFixed(3)} nat`,
          `${effect.on.toFixed(3)} nat`,
          `${effect.off.toFixed(3)} nat`,
          String(effect.tokens),
          effect.pValue.toPrecision(2),
        ]),
      note: 'Change of the negative log-likelihood of the next token. Its own: with all other experts held fixed (regression). p is corrected for looking at every layer and expert.',
    });
  }
  return result;
}

function beginsAt(experts: ExpertReport, effect: ExpertReport['effects'][number]): string {
  const share = experts.beginnings?.[effect.layer]?.[effect.expert];
  return share === undefined ? '-' : `${(100 * share).toFixed(0)} %`;
}

/** The experts where most changes begin; by their own change where changes have no clear beginning. */
function byBeginning({ effects, beginnings }: ExpertReport): ExpertReport['effects'] {
  if (beginnings === undefined) return effects;
  const share = ({ layer, expert }: ExpertReport['effects'][number]): number => beginnings[layer]?.[expert] ?? 0;
  return [...effects].sort((a, b) => share(b) - share(a) || b.own - a.own);
}
