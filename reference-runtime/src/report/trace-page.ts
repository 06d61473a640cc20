// One traced request as a page: an expert heat map per layer, and its text as tokens.
import { html } from '../../../src/report/escape.ts';
import type { RequestTrace } from '../engine/types.ts';
import { type LayerGate, layerStats, type TokenTrace, tokenTraces } from '../server/moe.ts';
import { heatStep } from './heat-table.ts';
import { percent } from './number.ts';
import { type Page, page } from './page.ts';
import { routingHeat } from './routing-heat.ts';
import { EXPERT_COLOURS } from './style.ts';
import { detailRules, layerChoice, layerRule, tokenView } from './token-view.ts';

/** Token-layers with details in a page; the tokens after that have their colours only, and the JSON has everything. */
export const DETAIL_LIMIT = 16_384;
/** Experts whose gate is drawn as a strip of cells. */
const STRIP_LIMIT = 32;
const TABLE_ROWS = 2_000;

export interface TraceSubject {
  title: string;
  trace: RequestTrace;
  /** Natural-log probability per position, where it was asked for. */
  logprobs?: ReadonlyArray<number | null>;
  about: ReadonlyArray<readonly [string, string]>;
  /** As of a page. */
  links?: ReadonlyArray<readonly [name: string, href: string]>;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function chosen(gate: LayerGate): string {
  return gate.experts.map((expert, rank) => `${expert}:${percent(gate.weights[rank] as number)}`).join(' ');
}

/** Table cell of the full gate as a row of coloured cells; none at all where it is too long to be looked at. */
export function stripCell(gate: LayerGate): string {
  if (gate.probabilities.length > STRIP_LIMIT) return '';
  return `<td><span class="strip" aria-hidden="true">${gate.probabilities.map((p) => `<i class="h${heatStep(p, 0, 0.9)}"></i>`).join('')}</span></td>`;
}

/** The heading over it. */
export function stripHead(token: TokenTrace): string {
  return (token.layers[0]?.probabilities.length ?? 0) > STRIP_LIMIT ? '' : '<th scope="col">gate</th>';
}

function details(token: TokenTrace, logprob: number | null | undefined): string {
  const head = `<p><b>Position ${token.position}</b>, ${token.part}, token ${token.token}, <code>${html(JSON.stringify(token.text))}</code>${logprob === undefined || logprob === null ? '' : `, log probability ${logprob.toFixed(3)}`}</p>`;
  if (token.layers.length === 0) return `${head}<p>Not routed: the last token that is generated is not computed on.</p>`;
  const rows = token.layers.map(
    (gate) =>
      `<tr class="r r${gate.layer}"><th scope="row">${gate.layer}</th><td>${gate.experts.map((expert, rank) => `<b>${expert}</b> ${percent(gate.weights[rank] as number)} % (p ${(gate.probabilities[expert] as number).toFixed(3)})`).join(', ')}</td>${stripCell(gate)}<td>${gate.gate_entropy_nats.toFixed(3)}</td><td>${gate.top2_margin.toFixed(3)}</td></tr>`,
  );
  return `${head}<table><thead><tr><th scope="col">layer</th><th scope="col">experts by weight (gate probability)</th>${stripHead(token)}<th scope="col">entropy, nats</th><th scope="col">margin</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

/** A legend of the experts' colours. */
function legend(experts: number): string {
  const items = Array.from(
    { length: Math.min(experts, EXPERT_COLOURS) },
    (_, expert) => `<li><i class="e${expert}"></i>expert ${expert}</li>`,
  );
  const more =
    experts > EXPERT_COLOURS ? '<li>More experts use the colours again; the number under a token is the expert.</li>' : '';
  return `<ul class="legend">${items.join('')}${more}</ul>`;
}

/** Every token and layer as a table: what can't be hovered can be read. */
function numbers(tokens: readonly TokenTrace[], layers: readonly number[]): string {
  const rows = tokens.slice(0, TABLE_ROWS).map((token) => {
    const cells = layers.map((layer) => token.layers.find((gate) => gate.layer === layer));
    return `<tr><td class="num">${token.position}</td><td><code>${html(JSON.stringify(token.text))}</code></td>${cells.map((gate) => `<td>${gate === undefined ? '–' : chosen(gate)}</td>`).join('')}</tr>`;
  });
  const rest = tokens.length > TABLE_ROWS ? `<p class="small">${tokens.length - TABLE_ROWS} more tokens in the JSON.</p>` : '';
  return `<details class="data" id="numbers"><summary>Experts and weights in per cent, every token and layer</summary><div class="scroll" tabindex="0" role="region" aria-label="Experts of every token"><table><thead><tr><th scope="col" class="num">position</th><th scope="col">token</th>${layers.map((layer) => `<th scope="col">layer ${layer}</th>`).join('')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>${rest}</details>`;
}

/** The page of one trace. @throws nothing; a trace without rows has an empty token view */
export function tracePage({ title, trace, logprobs, about, links = [] }: TraceSubject): Page {
  const tokens = tokenTraces(trace);
  const layers = trace.layers.map((layer) => layer.layer);
  const experts = trace.rows?.experts ?? 0;
  const prompt = trace.text?.promptTokens ?? 0;
  const pairs = new Map(
    tokens.flatMap((token) =>
      token.layers.map(({ layer, experts: [first = 0] }) => [`${layer}x${first}`, [layer, first]] as const),
    ),
  );
  const rules = [...pairs.values()].map(([layer = 0, expert = 0]) =>
    layerRule(layer, String(expert), `series-${expert % EXPERT_COLOURS}`, String(expert)),
  );
  const detailed = layers.length === 0 ? 0 : Math.floor(DETAIL_LIMIT / layers.length);
  const view = (part: TokenTrace['part']): string => {
    const own = tokens.filter((token) => token.part === part);
    if (own.length === 0) return '';
    return tokenView(
      `${part === 'prompt' ? 'Prompt' : 'Completion'}, ${own.length} ${own.length === 1 ? 'token' : 'tokens'}`,
      own.map((token) => ({
        position: token.position,
        text: token.text,
        classes: token.layers.map((gate) => `l${gate.layer}x${gate.experts[0]}`),
        ...(token.position < detailed ? { details: details(token, logprobs?.[token.position]) } : {}),
      })),
      'token',
    );
  };
  const partial = tokens.some((token) => token.part === 'prompt' && token.layers.length < layers.length);
  const main = `<section aria-labelledby="usage"><h2 id="usage">Experts by layer</h2>
${trace.layers.length === 0 ? '<p>No row of this request was recorded.</p>' : routingHeat('Share of a layer’s slots that each expert got, in per cent', trace.layers.map(layerStats))}</section>
<section aria-labelledby="tokens"><h2 id="tokens">Tokens</h2>
${layerChoice(layers)}
${legend(experts)}
<p class="small">The colour and the number under a token are its first expert in that layer. Point at a token or focus it for its gate; click for every layer.${partial ? ' A dash: the last layer is computed only where logits are asked for, which of a prompt is its last token.' : ''}</p>
<a class="skip" href="#numbers">Skip the tokens</a>
${view('prompt')}
${view('completion')}
${tokens.length > detailed ? `<p class="small">Details of the first ${detailed} tokens; the JSON has all of them.</p>` : ''}
${numbers(tokens, layers)}</section>`;
  return page({
    title,
    lead: 'Which experts each token used, layer by layer, with the router’s own probabilities.',
    tiles: [
      ['Tokens in + out', `${prompt} + ${tokens.length - prompt}`],
      ['Layers × experts', `${layers.length} × ${experts}`],
      ['Experts a token', String(trace.rows?.expertsUsed ?? 0)],
      ['Gate entropy, nats', layers.length === 0 ? '–' : mean(trace.layers.map((layer) => layer.gateEntropyNats)).toFixed(3)],
      ['Top-2 margin', layers.length === 0 ? '–' : mean(trace.layers.map((layer) => layer.top2Margin)).toFixed(3)],
      ['Rows lost', String(trace.dropped), trace.dropped > 0],
    ],
    main,
    about,
    links,
    rules: [...rules, ...detailRules(layers)],
  });
}
