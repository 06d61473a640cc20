import { compareText } from '../../core/text.ts';
import type { CanaryProfileDocument } from '../../generated/schemas.ts';
import { createRng, type Rng } from '../../stats/rng.ts';
import type { PromptRecord } from './corpus.ts';

/** What the k6 script is told; the shape of MIXGATE_PLAN in canary/k6/paired.js. */
export interface CanaryPlan {
  readonly seed: number;
  readonly baseline: string;
  readonly candidate: string;
  readonly model: string;
  readonly headers: { readonly [name: string]: string };
  readonly maxTokens: number;
  readonly topLogprobs: number;
  readonly stop: readonly string[];
  readonly timeoutMs: number;
  readonly maxDurationS: number;
  readonly score: boolean;
  /** Answers travel with the samples. */
  readonly keepAnswers: boolean;
  readonly sampling?: { readonly samples: number; readonly temperature: number };
  readonly prompts: readonly PromptRecord[];
  readonly iterations: readonly PlanStep[];
}

export interface PlanStep {
  readonly pair: number;
  /** Index into `prompts`. */
  readonly prompt: number;
  readonly block: 'warmup' | 'aa' | 'ab';
  /** Which arm is asked first; in the A/A block both are the baseline. */
  readonly order: readonly ['baseline' | 'candidate', 'baseline' | 'candidate'];
}

export const DEFAULTS = {
  aaPairs: 20,
  warmupPairs: 4,
  maxTokens: 16,
  topLogprobs: 5,
  timeoutMs: 30_000,
  maxDurationS: 600,
  alpha: 0.05,
} as const;

export interface PlanInput {
  readonly profile: CanaryProfileDocument;
  readonly prompts: readonly PromptRecord[];
  readonly baseline: string;
  readonly candidate: string;
  readonly seed: number;
  readonly headers?: { readonly [name: string]: string };
}

/**
 * Which prompt goes out when, and to which arm first. Segments take turns, so that each gets its share however short the
 * run; prompts inside a segment are shuffled by seed and repeat only when the segment is used up; the order of the arms is
 * randomised in blocks of two inside each segment, so that neither arm profits from a warm cache or a drifting machine.
 */
export function buildPlan({ profile, prompts, baseline, candidate, seed, headers }: PlanInput): CanaryPlan {
  const rng = createRng(seed);
  const segments = new Map<string, number[]>();
  for (const [index, prompt] of prompts.entries()) {
    const list = segments.get(prompt.segment) ?? [];
    list.push(index);
    segments.set(prompt.segment, list);
  }
  const queues = [...segments.entries()].sort(([a], [b]) => compareText(a, b)).map(([, indices]) => segmentQueue(indices, rng));
  const iterations: PlanStep[] = [];
  const blocks = [
    { block: 'warmup' as const, count: profile.warmupPairs ?? DEFAULTS.warmupPairs },
    { block: 'aa' as const, count: profile.aaPairs ?? DEFAULTS.aaPairs },
    { block: 'ab' as const, count: Math.max(profile.pairs, profile.maxPairs ?? 0) },
  ];
  for (const { block, count } of blocks) {
    for (let i = 0; i < count; i += 1) {
      const { prompt, candidateFirst } = queues[i % queues.length]!();
      iterations.push({
        pair: iterations.length,
        prompt,
        block,
        order: candidateFirst ? ['candidate', 'baseline'] : ['baseline', 'candidate'],
      });
    }
  }
  return {
    seed,
    baseline,
    candidate,
    model: profile.model ?? 'default',
    headers: { ...profile.headers, ...headers },
    maxTokens: profile.maxTokens ?? DEFAULTS.maxTokens,
    topLogprobs: profile.topLogprobs ?? DEFAULTS.topLogprobs,
    stop: profile.stop ?? [],
    timeoutMs: profile.timeoutMs ?? DEFAULTS.timeoutMs,
    maxDurationS: profile.maxDuration === undefined ? DEFAULTS.maxDurationS : seconds(profile.maxDuration),
    score: profile.score ?? true,
    keepAnswers: profile.judge !== undefined || prompts.some((prompt) => prompt.check !== undefined),
    ...(profile.sampling === undefined ? {} : { sampling: profile.sampling }),
    prompts,
    iterations,
  };
}

/**
 * The plan in rounds of `pairs` judged pairs: the first has the warm-up and the A/A block as well; each later one is sent when those before
 * it left the run inconclusive.
 */
export function planRounds(plan: CanaryPlan, pairs: number): readonly CanaryPlan[] {
  const before = plan.iterations.findIndex((step) => step.block === 'ab');
  const rounds: CanaryPlan[] = [];
  for (let from = before; from < plan.iterations.length; from += pairs)
    rounds.push({ ...plan, iterations: plan.iterations.slice(from === before ? 0 : from, from + pairs) });
  return rounds;
}

function segmentQueue(indices: readonly number[], rng: Rng): () => { prompt: number; candidateFirst: boolean } {
  let left: number[] = [];
  let pendingOrder: boolean | undefined;
  return () => {
    if (left.length === 0) left = shuffle(indices, rng);
    let candidateFirst: boolean;
    if (pendingOrder === undefined) {
      candidateFirst = rng.uniform() < 0.5;
      pendingOrder = !candidateFirst;
    } else {
      candidateFirst = pendingOrder;
      pendingOrder = undefined;
    }
    return { prompt: left.pop()!, candidateFirst };
  };
}

/** Fisher-Yates (Durstenfeld 1964). */
function shuffle(values: readonly number[], rng: Rng): number[] {
  const result = [...values];
  for (let i = result.length - 1; i > 0; i -= 1) {
    const j = Math.floor(rng.uniform() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

/** `90s`, `10m`, `1h` in seconds. */
function seconds(duration: string): number {
  const unit = { s: 1, m: 60, h: 3600 }[duration.at(-1) as 's' | 'm' | 'h'];
  return Number.parseInt(duration, 10) * unit;
}
