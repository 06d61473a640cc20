// One traced request as a page: an expert heat map per layer, and its text as tokens.
import { clip, html } from '../../../src/report/escape.ts';
import type { RequestTrace } from '../engine/types.ts';
import { eachToken, type LayerGate, layerStats, type TokenTrace } from '../server/moe.ts';
import { heatStep } from './heat-table.ts';
import { percent } from './number.ts';
import { type Page, page } from './page.ts';
import { routingHeat } from './routing-heat.ts';
import { EXPERT_COLOURS } from './style.ts';
import { detailRules, layerChoice, layerRule, MAX_TEXT, tokenView, type ViewToken } from './token-view.ts';

// A page is bounded whatever was traced, 20 MiB at most. The JSON has everything.

/** Tokens in a page at all, and token-layers. */
const TOKEN_LIMIT = 16_384;
const TOKEN_LAYER_LIMIT = 131_072;
/** Token-layers with details; the tokens after that have their colours only. */
export const DETAIL_LIMIT = 16_384;
/** Characters of details: a token-layer of a wide model takes many. */
const DETAIL_CHARACTERS = 8 * 1024 * 1024;
/** Experts whose gate is drawn as a strip of cells. */
const STRIP_LIMIT = 32;
const TABLE_ROWS = 2_000;
const TABLE_CHARACTERS = 2 * 1024 * 1024;

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
  const head = `<p><b>Position ${token.position}</b>, ${token.part}, token ${token.token}, <code>${html(clip(JSON.stringify(token.text), MAX_TEXT))}</code>${logprob === undefined || logprob === null ? '' : `, log probability ${logprob.toFixed(3)}`}</p>`;
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

/** Text of parts, as long as there is room for the next one. */
class Room {
  readonly #limit: number;
  #used = 0;
  #full = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The part, or nothing for it and all that follow. */
  take(make: () => string): string | undefined {
    if (this.#full) return undefined;
    const part = make();
    this.#used += part.length;
    this.#full = this.#used > this.#limit;
    return this.#full ? undefined : part;
  }
}

function tableRow(token: TokenTrace, layers: readonly number[]): string {
  const gates = new Map(token.layers.map((gate) => [gate.layer, gate]));
  const cells = layers.map((layer) => {
    const gate = gates.get(layer);
    return `<td>${gate === undefined ? '–' : chosen(gate)}</td>`;
  });
  return `<tr><td class="num">${token.position}</td><td><code>${html(clip(JSON.stringify(token.text), MAX_TEXT))}</code></td>${cells.join('')}</tr>`;
}

/** Every token and layer as a table: what can't be hovered can be read. */
function numbers(rows: readonly string[], tokens: number, layers: readonly number[]): string {
  const rest = tokens > rows.length ? `<p class="small">${tokens - rows.length} more tokens in the JSON.</p>` : '';
  return `<details class="data" id="numbers"><summary>Experts and weights in per cent, every token and layer</summary><div class="scroll" tabindex="0" role="region" aria-label="Experts of every token"><table><thead><tr><th scope="col" class="num">position</th><th scope="col">token</th>${layers.map((layer) => `<th scope="col">layer ${layer}</th>`).join('')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>${rest}</details>`;
}

interface Rendered {
  prompt: ViewToken[];
  completion: ViewToken[];
  /** Tokens with details: the first ones. */
  detailed: number;
  rows: string[];
  /** Layer and expert of each colour in use, by class. */
  pairs: ReadonlyMap<string, readonly [layer: number, expert: number]>;
  /** Whether a token of the prompt lacks a layer. */
  partial: boolean;
}

/** One pass over the tokens: none is held longer than it takes to write it. */
function rendered(trace: RequestTrace, layers: readonly number[], logprobs: TraceSubject['logprobs']): Rendered {
  const shown = Math.min(TOKEN_LIMIT, Math.floor(TOKEN_LAYER_LIMIT / Math.max(1, layers.length)));
  const withDetails = layers.length === 0 ? 0 : Math.floor(DETAIL_LIMIT / layers.length);
  const [detailRoom, tableRoom] = [new Room(DETAIL_CHARACTERS), new Room(TABLE_CHARACTERS)];
  const pairs = new Map<string, readonly [number, number]>();
  const out = {
    prompt: [] as ViewToken[],
    completion: [] as ViewToken[],
    detailed: 0,
    rows: [] as string[],
    pairs,
    partial: false,
  };
  for (const token of eachToken(trace)) {
    if (token.position >= shown) break;
    if (token.part === 'prompt' && token.layers.length < layers.length) out.partial = true;
    const classes = token.layers.map(({ layer, experts: [first = 0] }) => {
      const name = `l${layer}x${first}`;
      pairs.set(name, [layer, first]);
      return name;
    });
    const more = token.position < withDetails ? detailRoom.take(() => details(token, logprobs?.[token.position])) : undefined;
    if (more !== undefined) out.detailed++;
    out[token.part].push({
      position: token.position,
      text: token.text,
      classes,
      ...(more === undefined ? {} : { details: more }),
    });
    const row = token.position < TABLE_ROWS ? tableRoom.take(() => tableRow(token, layers)) : undefined;
    if (row !== undefined) out.rows.push(row);
  }
  return out;
}

/** The page of one trace. @throws nothing; a trace without rows has an empty token view */
export function tracePage({ title, trace, logprobs, about, links = [] }: TraceSubject): Page {
  const layers = trace.layers.map((layer) => layer.layer);
  const experts = trace.rows?.experts ?? 0;
  const tokens = trace.rows === undefined ? 0 : (trace.text?.texts.length ?? 0);
  const prompt = trace.text?.promptTokens ?? 0;
  const { prompt: before, completion, detailed, rows, pairs, partial } = rendered(trace, layers, logprobs);
  const shown = before.length + completion.length;
  const rules = [...pairs.values()].map(([layer, expert]) =>
    layerRule(layer, String(expert), `series-${expert % EXPERT_COLOURS}`, String(expert)),
  );
  const view = (part: 'Prompt' | 'Completion', own: readonly ViewToken[]): string =>
    own.length === 0 ? '' : tokenView(`${part}, ${own.length} ${own.length === 1 ? 'token' : 'tokens'}`, own, 'token');
  const main = `<section aria-labelledby="usage"><h2 id="usage">Experts by layer</h2>
${trace.layers.length === 0 ? '<p>No row of this request was recorded.</p>' : routingHeat('Share of a layer’s slots that each expert got, in per cent', trace.layers.map(layerStats))}</section>${
    layers.length === 0
      ? ''
      : `
<section aria-labelledby="tokens"><h2 id="tokens">Tokens</h2>
${layerChoice(layers)}
${legend(experts)}
<p class="small">The colour and the number under a token are its first expert in that layer. Point at a token or focus it for its gate; click for every layer.${partial ? ' A dash: the last layer is computed only where logits are asked for, which of a prompt is its last token.' : ''}</p>
<a class="skip" href="#numbers">Skip the tokens</a>
${view('Prompt', before)}
${view('Completion', completion)}
${tokens > shown ? `<p class="small">The first ${shown} tokens; ${tokens - shown} more in the JSON.</p>` : ''}
${tokens > detailed ? `<p class="small">Details of the first ${detailed} tokens; the JSON has all of them.</p>` : ''}
${numbers(rows, tokens, layers)}</section>`
  }`;
  return page({
    title,
    lead: 'Which experts each token used, layer by layer, with the router’s own probabilities.',
    tiles: [
      ['Tokens in + out', `${prompt} + ${tokens - prompt}`],
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
