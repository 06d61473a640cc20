// What a reader of expert usage looks for first: which expert of which layer is far from the others, and in which segment.
import { html, oneLine } from '../../../src/report/escape.ts';
import type { LayerStats } from '../server/moe.ts';
import type { ModelStats } from '../server/moe-statistics.ts';
import { title } from './heat-table.ts';
import { percent } from './number.ts';

/** One expert of one layer. `usual` is the share that it is compared with, `tokens` how many the share is of. */
export interface StandOut {
  segment?: string;
  layer: number;
  expert: number;
  share: number;
  usual: number;
  tokens: number;
  /** How far the count is from what the usual share would give, in standard deviations of a binomial count. */
  deviations: number;
}

const SHOWN = 6;
/** Below this many standard deviations a difference is what chance gives: of a thousand counts one or two are as far. */
const CHANCE = 3;

function outs(layers: readonly LayerStats[], usual: (layer: number, expert: number) => number, segment?: string): StandOut[] {
  return layers.flatMap(({ layer, usage, share, rows }) =>
    usage.flatMap((count, expert) => {
      const p = usual(layer, expert);
      const slots = usage.reduce((sum, each) => sum + each, 0);
      // A usual share of 0 or 1 leaves nothing to vary.
      const deviation = Math.sqrt(slots * p * (1 - p));
      const deviations = deviation > 0 ? (count - slots * p) / deviation : 0;
      const found = { layer, expert, share: share[expert] ?? 0, usual: p, tokens: rows, deviations };
      return deviations < CHANCE ? [] : [segment === undefined ? found : { segment, ...found }];
    }),
  );
}

const farthestFirst = (found: StandOut[]): StandOut[] => found.sort((a, b) => b.deviations - a.deviations).slice(0, SHOWN);

/** Experts with the most beyond an even share. */
export function busiest({ layers }: Pick<ModelStats, 'layers'>): StandOut[] {
  return farthestFirst(outs(layers, (layer) => 1 / (layers.find((each) => each.layer === layer)?.usage.length ?? 1)));
}

/** Experts with the most in a segment beyond their share of all requests. */
export function peculiar({ layers, segments }: Pick<ModelStats, 'layers' | 'segments'>): StandOut[] {
  const all = new Map(layers.map(({ layer, share }) => [layer, share]));
  return farthestFirst(
    segments.flatMap(({ segment, layers: own }) => outs(own, (layer, expert) => all.get(layer)?.[expert] ?? 0, segment)),
  );
}

function table(caption: string, usual: string, found: readonly StandOut[]): string {
  const withSegment = found.some(({ segment }) => segment !== undefined);
  const head = (name: string): string => `<th scope="col" class="num">${name}</th>`;
  const rows = found.map(
    ({ segment, layer, expert, share, usual: other, tokens }) =>
      `<tr>${withSegment ? `<td>${html(oneLine(segment ?? ''))}</td>` : ''}<td class="num">${layer}</td><td class="num">${expert}</td><td class="num">${percent(share)}</td><td class="num">${percent(other)}</td><td class="num">${(share / other).toFixed(1)}</td><td class="num">${tokens}</td></tr>`,
  );
  return `<div class="scroll" tabindex="0" role="region" aria-label="${html(caption)}"><table class="lines"><caption>${title(caption)}</caption><thead><tr>${withSegment ? '<th scope="col">segment</th>' : ''}${head('layer')}${head('expert')}${head('share, %')}${head(usual)}${head('times')}${head('tokens')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
}

/** Both as tables, with what was left out as chance; how many experts had no token at all. */
export function standOuts(model: Pick<ModelStats, 'layers' | 'segments'>): string {
  const [most, own] = [busiest(model), model.segments.length < 2 ? [] : peculiar(model)];
  const experts = model.layers.reduce((sum, { usage }) => sum + usage.length, 0);
  const idle = model.layers.reduce((sum, { usage }) => sum + usage.filter((count) => count === 0).length, 0);
  const tables = [
    most.length === 0 ? '' : table('Experts with the most beyond an even share', 'even, %', most),
    own.length === 0 ? '' : table('Experts that a segment uses more than all requests do', 'of all requests, %', own),
  ];
  const chance = `farthest first, by at least ${CHANCE} standard deviations of chance`;
  return `${tables.join('\n')}<p class="small">${most.length + own.length === 0 ? `No expert stands out (${chance}).` : `At most ${SHOWN} each, ${chance}.`} ${idle} of ${experts} experts in all layers had no token.</p>`;
}
