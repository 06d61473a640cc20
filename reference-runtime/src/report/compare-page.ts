// Two models on the same tokens as a page: which experts lost tokens, and where in the text.
import { html, oneLine } from '../../../src/report/escape.ts';
import { type FirstChange, type LikelihoodChange, likelihoodByExpert } from '../engine/first-change.ts';
import { byWeight, type Change, type RoutingDifference, weightMoved } from '../engine/routing-diff.ts';
import type { LayerGate, TokenTrace } from '../server/moe.ts';
import { heatTable } from './heat-table.ts';
import { percent } from './number.ts';
import { type Page, page } from './page.ts';
import { detailRules, layerChoice, layerRule, tokenView } from './token-view.ts';
import { chosen, DETAIL_LIMIT, stripCell, stripHead } from './trace-page.ts';

const CHANGES_SHOWN = 200;
/** Tokens below which a mean is left without a colour. */
const FEW = 5;
/** Per cent of a token's weight: from here on a token is marked, and marked as mostly elsewhere. */
const SOME = 5;
const MOST = 50;

export interface CompareSubject {
  tokens: readonly TokenTrace[];
  candidate: readonly TokenTrace[];
  difference: RoutingDifference<LayerGate>;
  first: FirstChange | undefined;
  /** Natural-log probability per position. */
  logprobs: { baseline: ReadonlyArray<number | null>; candidate: ReadonlyArray<number | null> };
  about: ReadonlyArray<readonly [string, string]>;
}

/** What a log probability and its change are, where both sides have one. */
function likelihood({ logprobs }: CompareSubject, position: number): string {
  const [before, after] = [logprobs.baseline[position], logprobs.candidate[position]];
  if (typeof before !== 'number' || typeof after !== 'number') return '';
  const change = after - before;
  return `, log probability ${before.toFixed(3)} → ${after.toFixed(3)} (${change > 0 ? '+' : ''}${change.toFixed(3)})`;
}

function details(subject: CompareSubject, token: TokenTrace): string {
  const other = subject.candidate[token.position];
  const head = `<p><b>Position ${token.position}</b>, ${token.part}, <code>${html(JSON.stringify(token.text))}</code>${likelihood(subject, token.position)}</p>`;
  if (token.layers.length === 0) return `${head}<p>Not routed: nothing was computed after the last token.</p>`;
  const rows = token.layers.map((gate) => {
    const after = other?.layers.find(({ layer }) => layer === gate.layer);
    return `<tr class="r r${gate.layer}"><th scope="row">${gate.layer}</th><td>${chosen(gate)}</td>${stripCell(gate)}<td>${after === undefined ? '–' : chosen(after)}</td>${after === undefined ? '' : stripCell(after)}</tr>`;
  });
  return `${head}<table><thead><tr><th scope="col">layer</th><th scope="col">baseline, weights in %</th>${stripHead(token)}<th scope="col">candidate</th>${stripHead(token)}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

/** Where the models first differ, in words: what changed lies there, whatever differs after it. */
export function whereChanged(change: FirstChange | undefined, tokens: readonly TokenTrace[]): string {
  if (change === undefined) return 'Nothing differs: every router and every log probability is the same.';
  const { position, after, seen, experts } = change;
  const where = `The models first differ at position ${position}, token ${JSON.stringify(tokens[position]?.text ?? '')}`;
  if (after === undefined)
    return `${where}, already in the router of layer ${seen}: in the embedding, the attention or the router itself.`;
  const between =
    seen === undefined ? `after the router of layer ${after}` : `between the routers of layers ${after} and ${seen}`;
  const named = experts.map((expert) => `expert ${expert}`).join(' or ');
  return experts.length === 0
    ? `${where}, ${between}. Earlier tokens used the same experts of layer ${after} without a difference: it is not one expert alone.`
    : `${where}, ${between}. It is the first token to use ${named} of layer ${after}: if one expert changed, that is the one.`;
}

/** Where the routing first differs, and where most. */
export function firstDifference(changes: ReadonlyArray<Change<LayerGate>>, tokens: readonly TokenTrace[]): string {
  const [first] = changes;
  if (first === undefined) return 'Every token uses the same experts in every layer.';
  const text = JSON.stringify(tokens[first.position]?.text ?? '');
  const one = `The choice of experts first differs at position ${first.position}, token ${text}, layer ${first.layer}: experts ${chosen(first.baseline)} become ${chosen(first.candidate)} (weights in per cent).`;
  const [most = first] = byWeight(changes);
  const where = most === first ? 'nowhere more' : `most at position ${most.position}, layer ${most.layer}`;
  return `${one} ${percent(first.weight_moved)} % of the token's weight moves there, ${where}${most === first ? '' : ` (${percent(most.weight_moved)} %)`}.`;
}

function likelihoodHeat(changes: readonly LikelihoodChange[]): string {
  const experts = Math.max(0, ...changes.map(({ change }) => change.length));
  const lost = changes.map(({ change }) => change.map((value) => (value === undefined ? undefined : -value)));
  return heatTable({
    caption: 'Log probability lost through each expert, nats a token',
    corner: 'layer / expert',
    column: 'expert',
    columns: Array.from({ length: experts }, (_, expert) => String(expert)),
    rows: changes.map(({ layer, tokens }, index) => ({
      name: String(layer),
      values: lost[index] as Array<number | undefined>,
      faint: tokens.map((count) => count < FEW),
    })),
    min: 0,
    max: Math.max(
      0.01,
      ...lost.flatMap((row, index) =>
        row.filter((_, expert) => (changes[index]?.tokens[expert] ?? 0) >= FEW).map((value) => value ?? 0),
      ),
    ),
    format: (value) => value.toFixed(3),
    unit: 'nats',
    note: `Mean over the tokens predicted at a position that used the expert; below 0 the candidate is better. An association, not a cause. Without a colour: fewer than ${FEW} tokens. A dash: none.`,
  });
}

function movedHeat({ layers }: RoutingDifference): string {
  const experts = Math.max(0, ...layers.map((layer) => layer.used.length));
  return heatTable({
    caption: 'Weight that leaves each expert, % of its layer',
    corner: 'layer / expert',
    column: 'expert',
    columns: Array.from({ length: experts }, (_, expert) => String(expert)),
    rows: layers.map((layer) => ({
      name: String(layer.layer),
      values: layer.used.map((used, expert) => (used === 0 ? undefined : layer.weight_lost[expert])),
      more: [
        `${percent(layer.moved / layer.slots)} %`,
        `${percent(layer.weight_moved)} %`,
        layer.gate_divergence_bits.toFixed(4),
        String(layer.tokens),
      ],
    })),
    more: [
      { name: 'slots moved', title: 'Share of the slots of the layer whose expert the candidate does not use for the token' },
      { name: 'weight moved', title: 'Share of the mixture’s weight that goes to other experts, mean over tokens' },
      { name: 'gate divergence, bits', title: 'Jensen-Shannon divergence of the two gates (0 to 1), mean over tokens' },
      { name: 'tokens', title: 'Tokens compared' },
    ],
    min: 0,
    max: Math.max(0.01, ...layers.flatMap((layer) => layer.weight_lost)),
    format: percent,
    unit: '%',
    note: 'A row adds up to the weight that moves. A dash: the baseline never used the expert for these tokens.',
  });
}

function changeTable(changes: ReadonlyArray<Change<LayerGate>>, tokens: readonly TokenTrace[]): string {
  if (changes.length === 0) return '<p class="small" id="numbers">No change of experts.</p>';
  const rows = byWeight(changes)
    .slice(0, CHANGES_SHOWN)
    .map(
      ({ position, layer, weight_moved, baseline, candidate }) =>
        `<tr><td class="num">${position}</td><td><code>${html(JSON.stringify(tokens[position]?.text ?? ''))}</code></td><td class="num">${layer}</td><td class="num">${percent(weight_moved)}</td><td>${chosen(baseline)}</td><td>${chosen(candidate)}</td></tr>`,
    );
  const rest = changes.length > CHANGES_SHOWN ? `<p class="small">${changes.length - CHANGES_SHOWN} more in the JSON.</p>` : '';
  return `<details class="data" id="numbers"><summary>Every change of experts, weights in per cent, largest first</summary><div class="scroll" tabindex="0" role="region" aria-label="Every change"><table><thead><tr><th scope="col" class="num">position</th><th scope="col">token</th><th scope="col" class="num">layer</th><th scope="col" class="num">weight moved, %</th><th scope="col">baseline</th><th scope="col">candidate</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>${rest}</details>`;
}

/** The page of a comparison. */
export function comparePage(subject: CompareSubject): Page {
  const { tokens, difference, about } = subject;
  const layers = difference.layers.map((layer) => layer.layer);
  // Per cent of the weight that moved, by position and layer; a class holds one value.
  const moved = new Map(
    tokens.flatMap(({ position, layers: gates }) =>
      gates.flatMap((gate) => {
        const after = subject.candidate[position]?.layers.find(({ layer }) => layer === gate.layer);
        return after === undefined ? [] : [[`${position} ${gate.layer}`, Math.round(100 * weightMoved(gate, after))] as const];
      }),
    ),
  );
  const classes = ({ position, layers: gates }: TokenTrace): string[] =>
    gates.flatMap(({ layer }) => {
      const value = moved.get(`${position} ${layer}`);
      return value === undefined ? [] : [`l${layer}x${value}`];
    });
  const detailed = layers.length === 0 ? 0 : Math.floor(DETAIL_LIMIT / layers.length / 2);
  const view = (part: TokenTrace['part']): string => {
    const own = tokens.filter((token) => token.part === part);
    if (own.length === 0) return '';
    return tokenView(
      `${part === 'prompt' ? 'Prompt' : 'Completion of the baseline'}, ${own.length} ${own.length === 1 ? 'token' : 'tokens'}`,
      own.map((token) => ({
        position: token.position,
        text: token.text,
        classes: classes(token),
        ...(token.position < detailed ? { details: details(subject, token) } : {}),
      })),
      'token',
    );
  };
  const changed = new Set(difference.changes.map(({ position }) => position)).size;
  const slots = difference.layers.reduce((sum, layer) => sum + layer.slots, 0);
  const compared = difference.layers.reduce((sum, layer) => sum + layer.tokens, 0);
  const meanWeight = difference.layers.reduce((sum, layer) => sum + layer.weight_moved * layer.tokens, 0) / Math.max(1, compared);
  const movedSlots = difference.layers.reduce((sum, layer) => sum + layer.moved, 0);
  const main = `<section aria-labelledby="first"><h2 id="first">First difference</h2><p class="next">${html(oneLine(whereChanged(subject.first, tokens)))}</p><p class="lead">${html(oneLine(firstDifference(difference.changes, tokens)))}</p></section>
<section aria-labelledby="likelihood"><h2 id="likelihood">Where likelihood is lost</h2>
${likelihoodHeat(likelihoodByExpert(tokens, subject.logprobs))}</section>
<section aria-labelledby="usage"><h2 id="usage">Which experts lose weight</h2>
${movedHeat(difference)}</section>
<section aria-labelledby="tokens"><h2 id="tokens">Tokens</h2>
${layerChoice(layers)}
<ul class="legend"><li><i class="v0"></i>below ${SOME} %</li><li><i class="v1"></i>${SOME} to ${MOST} %</li><li><i class="v2"></i>${MOST} % and more</li></ul>
<p class="small">The number under a token is the share of its weight in that layer, in per cent, that the candidate gives to other experts.</p>
<p class="small">Both models read the same tokens: the prompt, then what the baseline made of it. Point at a token or focus it for both gates; click for every layer.</p>
<a class="skip" href="#numbers">Skip the tokens</a>
${view('prompt')}
${view('completion')}
${changeTable(difference.changes, tokens)}</section>`;
  return page({
    title: 'Router comparison',
    lead: 'Where two models send the same tokens to other experts.',
    tiles: [
      ['Slots moved', slots === 0 ? '–' : `${percent(movedSlots / slots)} %`],
      ['Weight moved', tokens.length === 0 ? '–' : `${percent(meanWeight)} %`],
      ['Tokens with a change', `${changed} of ${tokens.length}`],
      ['Log probability a token', meanChange(subject)],
    ],
    main,
    about,
    rules: [
      ...layers.flatMap((layer) =>
        [...new Set(moved.values())].map((value) =>
          layerRule(layer, String(value), value < SOME ? 'line' : value < MOST ? 'series-1' : 'series-6', String(value)),
        ),
      ),
      ...detailRules(layers),
    ],
  });
}

function meanChange({ logprobs }: CompareSubject): string {
  const changes = logprobs.baseline.flatMap((before, position) => {
    const after = logprobs.candidate[position];
    return typeof before === 'number' && typeof after === 'number' ? [after - before] : [];
  });
  if (changes.length === 0) return '–';
  const mean = changes.reduce((sum, change) => sum + change, 0) / changes.length;
  return `${mean > 0 ? '+' : ''}${mean.toFixed(4)}`;
}
