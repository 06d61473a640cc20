// mixgate-runtime trace --compare
import { basename } from 'node:path';
import { oneLine } from '../../../src/report/escape.ts';
import { firstChange, likelihoodByExpert } from '../engine/first-change.ts';
import { byWeight, compareRouting, type RoutingDifference } from '../engine/routing-diff.ts';
import type { EngineInfo } from '../engine/types.ts';
import { comparePage, firstDifference, whereChanged } from '../report/compare-page.ts';
import { type LayerGate, type TokenTrace, tokenTraces } from '../server/moe.ts';
import { loadOffline, type OfflineOptions, traced } from './offline.ts';
import { columns, weightsCell, writePage } from './output.ts';
import { UsageError } from './usage.ts';

const CHANGES_PRINTED = 20;

export interface CompareOptions {
  model: string;
  candidate: string;
  prompt: string;
  maxTokens: number;
  format: 'text' | 'json';
  html: string | undefined;
  options: Omit<OfflineOptions, 'model'>;
}

interface Side {
  info: EngineInfo;
  promptTokens: number;
  tokens: TokenTrace[];
  ids: number[];
  logprobs: Array<number | null>;
}

/** One model after the other: two at once would have to fit in memory together. */
async function side(model: string, { prompt, maxTokens, options }: CompareOptions, baseline?: Side): Promise<Side> {
  await using offline = await loadOffline({ model, ...options });
  if (baseline !== undefined) sameShape(baseline.info, offline.info);
  const first = baseline === undefined ? await traced(offline, { prompt: { kind: 'text', text: prompt }, maxTokens }) : undefined;
  const ids = baseline?.ids ?? [...(first?.trace.text?.ids ?? [])];
  // Both sides read all tokens in the same steps: a token computed by itself is rounded differently from one in a row of others.
  const { trace, scores } = await traced(offline, { prompt: { kind: 'tokens', tokens: ids }, maxTokens: 0 });
  const promptTokens = baseline?.promptTokens ?? first?.trace.text?.promptTokens ?? ids.length;
  return {
    info: offline.info,
    promptTokens,
    tokens: tokenTraces(trace).map((token) => ({ ...token, part: token.position < promptTokens ? 'prompt' : 'completion' })),
    ids,
    logprobs: scores.map((score) => score.logprob),
  };
}

function sameShape(a: EngineInfo, b: EngineInfo): void {
  for (const [name, before, after] of [
    ['layers', a.layers, b.layers],
    ['experts', a.experts, b.experts],
    ['experts used', a.expertsUsed, b.expertsUsed],
  ] as const) {
    if (before !== after)
      throw new UsageError(
        `--compare: the models differ in ${name} (${before} and ${after}); there is nothing to compare by layer`,
      );
  }
}

function sameTokens(a: Side, b: Side): void {
  const wrong = a.tokens.find((token, position) => b.tokens[position]?.text !== token.text);
  if (wrong === undefined) return;
  const other = JSON.stringify(b.tokens[wrong.position]?.text);
  throw new UsageError(
    `--compare: token ${wrong.token} is ${JSON.stringify(wrong.text)} in one model and ${other} in the other; the vocabularies differ`,
  );
}

/** Prints where the candidate routes the baseline's tokens to other experts. @throws UsageError for models of different shape */
export async function compareModels(options: CompareOptions): Promise<void> {
  const baseline = await side(options.model, options);
  const candidate = await side(options.candidate, options, baseline);
  sameTokens(baseline, candidate);
  const difference = compareRouting(baseline.tokens, candidate.tokens);
  const logprobs = { baseline: baseline.logprobs, candidate: candidate.logprobs };
  const first = firstChange(baseline.tokens, candidate.tokens, logprobs);
  if (options.html !== undefined) {
    const page = comparePage({
      tokens: baseline.tokens,
      candidate: candidate.tokens,
      difference,
      first,
      logprobs,
      about: [
        ['Baseline', basename(options.model)],
        ['Candidate', basename(options.candidate)],
      ],
    });
    writePage(options.html, page);
  }
  if (options.format === 'json') {
    const likelihood_change = likelihoodByExpert(baseline.tokens, logprobs);
    const found = { ...body(options, baseline, candidate, difference), first_change: first ?? null, likelihood_change };
    process.stdout.write(`${JSON.stringify(found, undefined, 2)}\n`);
    return;
  }
  // A token's text is the model's: nothing of it is for the terminal to act on.
  const words = [whereChanged(first, baseline.tokens), firstDifference(difference.changes, baseline.tokens)]
    .map(oneLine)
    .join('\n');
  process.stdout.write(report(words, difference, baseline.tokens));
}

function body(options: CompareOptions, baseline: Side, candidate: Side, difference: RoutingDifference<LayerGate>): object {
  return {
    baseline: options.model,
    candidate: options.candidate,
    tokens: baseline.tokens.map(({ position, token, text, part }) => ({
      position,
      token,
      text,
      part,
      logprob: baseline.logprobs[position] ?? null,
      candidate_logprob: candidate.logprobs[position] ?? null,
    })),
    ...difference,
  };
}

function report(first: string, { layers, changes }: RoutingDifference<LayerGate>, tokens: TokenTrace[]): string {
  const byLayer = columns([
    ['layer', 'tokens', 'slots moved', 'weight moved', 'gate divergence, bits', 'slots lost by expert'],
    ...layers.map((layer) => [
      String(layer.layer),
      String(layer.tokens),
      `${layer.moved} of ${layer.slots} (${((layer.moved / layer.slots) * 100).toFixed(1)} %)`,
      `${(layer.weight_moved * 100).toFixed(1)} %`,
      layer.gate_divergence_bits.toFixed(4),
      layer.lost.flatMap((count, expert) => (count === 0 ? [] : [`${expert}:${count}`])).join(' ') || '-',
    ]),
  ]);
  if (changes.length === 0) return `${first}\n\n${byLayer}`;
  const rest = changes.length > CHANGES_PRINTED ? `${changes.length - CHANGES_PRINTED} more with --format json\n` : '';
  const list = columns([
    ['pos', 'token', 'layer', 'weight moved', 'baseline', 'candidate'],
    ...byWeight(changes)
      .slice(0, CHANGES_PRINTED)
      .map(({ position, layer, weight_moved, baseline, candidate }) => [
        String(position),
        JSON.stringify(tokens[position]?.text ?? ''),
        String(layer),
        `${(weight_moved * 100).toFixed(1)} %`,
        weightsCell(baseline),
        weightsCell(candidate),
      ]),
  ]);
  return `${first}\n\n${byLayer}\n${list}${rest}`;
}
