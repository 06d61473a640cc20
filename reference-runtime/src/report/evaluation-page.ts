// Perplexity by segment and expert as a page.
import { basename } from 'node:path';
import { html, oneLine } from '../../../src/report/escape.ts';
import type { EvaluationReport, SegmentReport } from '../commands/evaluation-report.ts';
import { heatTable } from './heat-table.ts';
import { short } from './number.ts';
import { type Page, page } from './page.ts';

const shown = (value: number | null, digits: number): string => (value === null ? '–' : value.toFixed(digits));

function segmentTable({ segments, total }: EvaluationReport): string {
  const rows = [...Object.entries(segments), ['all', { ...total, windows: undefined }] as const].map(
    ([name, segment]) =>
      `<tr><th scope="row">${html(oneLine(name))}</th><td class="num">${segment.tokens}</td><td class="num">${shown(segment.bits_per_byte, 3)}</td><td class="num">${shown(segment.perplexity, 2)}</td><td class="num">${segment.windows ?? ''}</td></tr>`,
  );
  return `<div class="scroll" tabindex="0" role="region" aria-label="Perplexity by segment"><table><caption>Perplexity by segment</caption><thead><tr><th scope="col">segment</th><th scope="col" class="num">tokens</th><th scope="col" class="num">bits per byte</th><th scope="col" class="num">perplexity</th><th scope="col" class="num">windows</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
}

/** Tokens below which a perplexity is left without a colour. */
const FEW = 20;

/** Experts of each layer; colours from the segment's own perplexity up to its double: what is dark is harder than the segment. */
function segmentHeat(name: string, { perplexity, layers }: SegmentReport): string {
  const own = perplexity ?? 1;
  const experts = Math.max(0, ...layers.map((layer) => layer.experts.length));
  return heatTable({
    caption: `${name}: perplexity of the tokens predicted through an expert`,
    corner: 'layer / expert',
    column: 'expert',
    columns: Array.from({ length: experts }, (_, expert) => String(expert)),
    rows: layers.map((layer) => ({
      name: String(layer.layer),
      values: layer.experts.map((expert) => expert.perplexity ?? undefined),
      faint: layer.experts.map((expert) => expert.tokens < FEW),
      more: [layer.usage_entropy_ratio.toFixed(3)],
    })),
    more: [{ name: 'usage entropy', title: 'Entropy of the shares over ln(experts): 1 even, 0 one expert only' }],
    min: own,
    max: 2 * own,
    format: short,
    note: `Colours from the segment’s perplexity up to its double. A dash: no token was predicted through the expert. Without a colour: fewer than ${FEW} tokens, an uncertain figure; the JSON has the counts.`,
  });
}

export function evaluationPage(report: EvaluationReport): Page {
  const { total, segments, model } = report;
  const heat = Object.entries(segments).map(([name, segment]) => (segment.layers.length === 0 ? '' : segmentHeat(name, segment)));
  return page({
    title: 'Perplexity by segment and expert',
    lead: 'How well the model predicts a corpus, and which experts the losses sit with. An association, not a cause.',
    tiles: [
      ['Tokens scored', String(total.tokens)],
      ['Bits per byte', shown(total.bits_per_byte, 3)],
      ['Perplexity', shown(total.perplexity, 2)],
      ['Segments', String(Object.keys(segments).length)],
    ],
    main: `<section aria-labelledby="segments"><h2 id="segments">Segments</h2>${segmentTable(report)}</section>
<section aria-labelledby="experts"><h2 id="experts">Experts</h2>${report.trace_available ? heat.join('\n') : '<p>Router tracing is not available: no figures by expert.</p>'}</section>`,
    about: [
      ['Model', basename(model)],
      ['Window', `${report.window} tokens, about`],
    ],
  });
}
