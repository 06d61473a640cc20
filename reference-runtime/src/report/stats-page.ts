// The runtime's router statistics as a page: a heat map per model and version, and one per segment of the asking tenant.
import { html, oneLine } from '../../../src/report/escape.ts';
import { type ModelStats, type MoeSnapshot, moeStats, type SegmentStats } from '../server/moe-statistics.ts';
import { heatTable } from './heat-table.ts';
import { type Page, page } from './page.ts';
import { routingHeat } from './routing-heat.ts';
import { standOuts } from './stand-out.ts';

export interface StatsSubject {
  cluster: string;
  available: boolean;
  reason: string;
  mode: string;
  counts: MoeSnapshot;
}

const SHARE = 'share of each layer’s slots, %';

/** Cells of segments' heat maps in a page; the JSON has every segment. */
const CELL_LIMIT = 65_536;

const requests = (count: number): string => (count === 1 ? '1 request' : `${count} requests`);

function modelSection(
  { model, version, requests_traced, requests_incomplete, layers, segments }: ModelStats,
  index: number,
): string {
  const name = `${model} ${version}`;
  const incomplete = requests_incomplete === 0 ? '' : ` ${requests_incomplete} of them lost rows to a full buffer.`;
  const cells = layers.reduce((sum, { share }) => sum + share.length, 0);
  const shown = segments.slice(0, Math.max(1, Math.floor(CELL_LIMIT / Math.max(1, cells))));
  const rest = segments.length - shown.length;
  const own = shown.map(
    (segment) =>
      `<h3>Segment <span class="mono">${html(oneLine(segment.segment))}</span></h3>${routingHeat(`${segment.segment}, ${requests(segment.requests_traced)}: ${SHARE}`, segment.layers)}`,
  );
  const overview = segments.length < 2 ? '' : divergences(segments);
  return `<section aria-labelledby="model-${index}"><h2 id="model-${index}">${html(oneLine(name))}</h2>
<p class="lead">${requests(requests_traced)} traced, of all tenants.${incomplete}</p>
${standOuts({ layers, segments })}
${routingHeat(`${name}, all requests: ${SHARE}`, layers)}
${overview}
${own.join('\n')}
${rest === 0 ? '' : `<p class="small">${rest} more ${rest === 1 ? 'segment' : 'segments'} in the JSON.</p>`}</section>`;
}

/** Segments against all requests, layer by layer: where a segment has experts of its own. */
function divergences(segments: readonly SegmentStats[]): string {
  const layers = segments[0]?.layers.map(({ layer }) => layer) ?? [];
  const values = segments.map((segment) =>
    layers.map((layer) => segment.layers.find((each) => each.layer === layer)?.divergence_bits),
  );
  const tokens = segments.map((segment) => String(Math.max(0, ...segment.layers.map(({ rows }) => rows))));
  return heatTable({
    caption: 'How far each segment’s usage is from that of all requests, bits',
    corner: 'segment / layer',
    column: 'layer',
    columns: layers.map(String),
    rows: segments.map(({ segment }, index) => ({
      name: segment,
      values: values[index] as Array<number | undefined>,
      more: [tokens[index] as string],
    })),
    more: [{ name: 'tokens', title: 'Tokens of the segment whose routing was recorded, at most in one layer' }],
    min: 0,
    max: Math.max(0.05, ...values.flat().map((value) => value ?? 0)),
    format: (value) => value.toFixed(2),
    unit: 'bits',
    note: 'Jensen-Shannon divergence of the shares: 0 the same experts as all requests, 1 none in common. Few tokens are far from anything by chance.',
  });
}

export function statsPage({ cluster, available, reason, mode, counts }: StatsSubject): Page {
  const stats = moeStats(counts);
  const traced = stats.models.reduce((sum, model) => sum + model.requests_traced, 0);
  const nothing = available
    ? 'No request has been traced yet. A request is traced when the policy allows it and the trace mode or the header x-mixgate-include: moe asks for it.'
    : `Router tracing is not available: ${reason}`;
  return page({
    title: 'Expert usage',
    lead: `Where the router of ${cluster} sent tokens since ${stats.since}. Segments are your own tenant’s.`,
    tiles: [
      ['Requests traced', String(traced)],
      ['Models and versions', String(stats.models.length)],
      ['Segments', String(stats.models.reduce((sum, model) => sum + model.segments.length, 0))],
      ['Segments over the limit', String(stats.segments_overflow), stats.segments_overflow > 0],
      ['Trace mode', mode],
    ],
    links: [['Kept traces', 'traces?format=html']],
    main:
      stats.models.length === 0
        ? `<section aria-labelledby="none"><h2 id="none">${available ? 'Nothing yet' : 'Not available'}</h2><p>${html(oneLine(nothing))}</p></section>`
        : stats.models.map(modelSection).join('\n'),
    about: [
      ['Cluster', cluster],
      ['Counted since', stats.since],
    ],
  });
}
