// What a case really does, measured without the judge: each held-out prompt is answered and scored by both sides, and the differences are
// averaged over all of them. No statistics and no code of the judge; prompts that the canary never sends.
import { performance } from 'node:perf_hooks';
import type { PromptRecord } from '../../src/canary/run/corpus.ts';
import type { Case } from './cases.ts';
import { TOKEN } from './serving.ts';

export interface Answer {
  readonly id: string;
  readonly segment: string;
  readonly ok: boolean;
  readonly ms: number;
  readonly text?: string;
  readonly answerTokens?: number;
  readonly tokens?: readonly string[];
  readonly logprobs?: readonly (number | null)[];
  readonly top?: readonly (Record<string, number> | null)[];
}

export interface AskOptions {
  readonly maxTokens: number;
  readonly stop: readonly string[];
}

interface CompletionBody {
  choices: {
    text: string;
    logprobs: { tokens: string[]; token_logprobs: (number | null)[]; top_logprobs: (Record<string, number> | null)[] } | null;
  }[];
  usage: { completion_tokens: number };
}

async function post(url: string, body: object): Promise<CompletionBody | undefined> {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ model: 'mixtral-micro', temperature: 0, seed: 1, ...body }),
  });
  const text = await response.text();
  return response.status === 200 ? (JSON.parse(text) as CompletionBody) : undefined;
}

/** Answers and scores every prompt once, with the 20 most likely tokens at each position. */
export async function ask(url: string, prompts: readonly PromptRecord[], { maxTokens, stop }: AskOptions): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const { id, segment, prompt } of prompts) {
    const started = performance.now();
    const generated = await post(url, { prompt, max_tokens: maxTokens, stop });
    const ms = performance.now() - started;
    const scored = generated === undefined ? undefined : await post(url, { prompt, max_tokens: 0, echo: true, logprobs: 20 });
    const logprobs = scored?.choices[0]?.logprobs;
    answers.push({
      id,
      segment,
      ok: scored !== undefined,
      ms,
      ...(generated === undefined
        ? {}
        : { text: generated.choices[0]?.text ?? '', answerTokens: generated.usage.completion_tokens }),
      ...(logprobs == null ? {} : { tokens: logprobs.tokens, logprobs: logprobs.token_logprobs, top: logprobs.top_logprobs }),
    });
  }
  return answers;
}

/** One measure of the truth: the change for the worse, and the margin of the profile it is held against. */
export interface Effect {
  readonly name: string;
  readonly segment?: string;
  readonly change: number;
  readonly margin: number;
  readonly unit: 'nat' | 'share' | 'relative';
}

export interface Truth {
  /** Largest change in margins first. */
  readonly effects: readonly Effect[];
  /** Whether any of them is beyond its margin. */
  readonly beyond: boolean;
  readonly how: string;
}

const MARGIN = { nll: 0.05, kld: 0.05, sameTop: 0.1, answers: 0.2, length: 0.25, errors: 0.02, tokens: 0, time: 0.25 } as const;

/** Faults that act on errors or times alone: what they do is known by construction, and times measured here would not be steady. */
export function constructed(tried: Case, baselineMs: (segment?: string) => number): readonly Effect[] | undefined {
  // Harmless by proof (test/variants-function.test.ts of the runtime) or because no weight is touched; F16 rounds otherwise, so it is measured.
  if (tried.clean && tried.variant?.includes('requantise') !== true) return [];
  if (tried.throttle !== undefined)
    return [{ name: 'time', change: 1 / (1 - tried.throttle) - 1, margin: MARGIN.time, unit: 'relative' }];
  const { fault } = tried;
  if (fault?.kind === 'error')
    // A pair fails when its answer or its scoring fails.
    return [{ name: 'errors', change: 1 - (1 - fault.share) ** 2, margin: MARGIN.errors, unit: 'share' }];
  if (fault?.kind === 'delay')
    return [
      {
        name: 'mean time',
        ...(fault.segment === undefined ? {} : { segment: fault.segment }),
        change: (fault.share * fault.ms) / baselineMs(fault.segment),
        margin: MARGIN.time,
        unit: 'relative',
      },
    ];
  return undefined;
}

/** Compares the answers of both sides to the same prompts. */
export function measured(baseline: readonly Answer[], candidate: readonly Answer[]): Effect[] {
  const both = candidate.flatMap((after, index) => {
    const before = baseline[index];
    return before !== undefined && before.id === after.id ? [{ before, after }] : [];
  });
  const answered = both.filter(({ before, after }) => before.ok && after.ok);
  const split = answered.filter(({ before, after }) => !same(before.tokens ?? [], after.tokens ?? []));
  const scored = answered.filter((pair) => !split.includes(pair));
  const effects: Effect[] = [
    { name: 'errors', change: 1 - answered.length / both.length, margin: MARGIN.errors, unit: 'share' },
    { name: 'prompts in other tokens', change: split.length / both.length, margin: MARGIN.tokens, unit: 'share' },
    {
      name: 'answers changed',
      change: mean(answered.map(({ before, after }) => (before.text === after.text ? 0 : 1))),
      margin: MARGIN.answers,
      unit: 'share',
    },
    {
      name: 'answer length',
      change: Math.abs(
        mean(answered.map(({ after }) => after.answerTokens ?? 0)) /
          mean(answered.map(({ before }) => before.answerTokens ?? 0)) -
          1,
      ),
      margin: MARGIN.length,
      unit: 'relative',
    },
  ];
  const segments = [undefined, ...new Set(scored.map(({ before }) => before.segment))];
  for (const segment of segments) {
    const rows = scored
      .filter(({ before }) => segment === undefined || before.segment === segment)
      .map(({ before, after }) => compare(before, after));
    const of = segment === undefined ? {} : { segment };
    effects.push({ name: 'nll', ...of, change: mean(rows.map((row) => row.nll)), margin: MARGIN.nll, unit: 'nat' });
    effects.push({ name: 'kld', ...of, change: mean(rows.map((row) => row.kld)), margin: MARGIN.kld, unit: 'nat' });
    if (segment === undefined)
      effects.push({
        name: 'other top token',
        change: 1 - mean(rows.map((row) => row.top)),
        margin: MARGIN.sameTop,
        unit: 'share',
      });
  }
  return effects;
}

export function truthOf(effects: readonly Effect[], how: string): Truth {
  const size = (effect: Effect): number => (effect.margin > 0 ? effect.change / effect.margin : effect.change > 0 ? 100 : 0);
  const sorted = [...effects].sort((a, b) => size(b) - size(a));
  return { effects: sorted, beyond: sorted.some((effect) => effect.change > effect.margin), how };
}

/** Means over the tokens of one prompt. KLD over the baseline's 20 most likely tokens and the rest as one: a lower bound. */
function compare(before: Answer, after: Answer): { nll: number; kld: number; top: number } {
  let [nll, kld, top, n] = [0, 0, 0, 0];
  for (let index = 1; index < (before.logprobs?.length ?? 0); index++) {
    const [p, q] = [before.top?.[index], after.top?.[index]];
    if (p == null || q == null) continue;
    nll += (before.logprobs?.[index] ?? 0) - (after.logprobs?.[index] ?? 0);
    const [firstP, firstQ] = [Object.keys(p)[0], Object.keys(q)[0]];
    top += firstP === firstQ ? 1 : 0;
    let [usedP, usedQ] = [0, 0];
    for (const [token, logprob] of Object.entries(p)) {
      const other = q[token];
      if (other === undefined) continue;
      kld += Math.exp(logprob) * (logprob - other);
      usedP += Math.exp(logprob);
      usedQ += Math.exp(other);
    }
    const [restP, restQ] = [Math.max(1e-9, 1 - usedP), Math.max(1e-9, 1 - usedQ)];
    kld += restP * Math.log(restP / restQ);
    n++;
  }
  return n === 0 ? { nll: 0, kld: 0, top: 1 } : { nll: nll / n, kld: kld / n, top: top / n };
}

function same(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((value, index) => value === right[index]);
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
