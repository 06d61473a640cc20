import type { Progress } from '../../core/context.ts';
import { append } from '../../core/multimap.ts';
import type { PromptRecord } from '../run/corpus.ts';
import type { CanaryPoint } from '../run/points.ts';
import { JUDGE_DEFAULTS, type JudgeClient, type JudgeSettings, type Poll } from './client.ts';
import { anovaOfPolls, type JudgeNoise } from './noise.ts';
import { applies, fillTemplate, type JudgeScore } from './prompts.ts';

export interface JudgeScoring {
  /** A point an answer and score: the share of readable polls that said `true`. */
  readonly points: readonly CanaryPoint[];
  readonly noises: readonly JudgeNoise[];
}

export interface ScoringInput {
  readonly points: readonly CanaryPoint[];
  readonly prompts: readonly PromptRecord[];
  readonly settings: JudgeSettings;
  readonly client: JudgeClient;
  readonly template: (score: JudgeScore) => string;
  /** A word that no answer can know, new for each request. */
  readonly fence: () => string;
  readonly progress: Progress;
}

interface Item {
  readonly score: JudgeScore;
  readonly prompt: PromptRecord;
  readonly text: string;
  readonly at: CanaryPoint[];
  readonly polls: Poll[];
}

/**
 * Polls the judge model about the answers of the A/B block, ChainPoll's way: several polls with reasoning, the score is the share of
 * `true` (Friel and Sanyal 2023, arXiv:2310.18344). The same answer to the same prompt is asked about once, whichever arms gave it:
 * equal texts cannot differ. Pairs are taken in the order of sending while the requests last, both arms or none.
 */
export async function scoreAnswers(input: ScoringInput): Promise<JudgeScoring> {
  const { settings, client } = input;
  const polls = settings.polls ?? JUDGE_DEFAULTS.polls;
  const budget = (settings.maxRequests ?? JUDGE_DEFAULTS.maxRequests) - client.requests;
  const { items, leftOut } = plan(input, Math.floor(budget / polls));
  // Round by round: a judge that goes away half-way leaves every answer with some polls.
  const queue = Array.from({ length: polls }, () => items).flat();
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < queue.length) {
      const item = queue[next]!;
      next += 1;
      if (next % 50 === 0) input.progress.fraction(next, queue.length, `judge model: ${next} of ${queue.length} polls`);
      const message = fillTemplate(input.template(item.score), item.prompt, item.text, input.fence());
      item.polls.push(await client.poll(message));
    }
  };
  await Promise.all(Array.from({ length: Math.min(settings.concurrency ?? JUDGE_DEFAULTS.concurrency, queue.length) }, work));

  const points: CanaryPoint[] = [];
  const noises = settings.scores.map((score): JudgeNoise => {
    const own = items.filter((item) => item.score === score);
    const counted = own.map((item) => ({
      item,
      yes: item.polls.filter((poll) => poll === true).length,
      polls: item.polls.filter((poll) => typeof poll === 'boolean').length,
    }));
    const scored = counted.filter((one) => one.polls >= Math.max(2, polls / 2));
    for (const { item, yes, polls: read } of scored)
      for (const { pair, prompt, tags } of item.at) points.push({ metric: score, value: yes / read, pair, prompt, tags });
    const all = own.flatMap((item) => item.polls);
    return {
      score,
      items: own.length,
      polls: all.length,
      unparsable: all.filter((poll) => poll === 'unparsable').length,
      unanswered: all.filter((poll) => poll === 'unanswered').length,
      unscored: own.length === 0 ? 0 : 1 - scored.length / own.length,
      ...anovaOfPolls(counted),
      pairsLeftOut: leftOut,
    };
  });
  return { points, noises };
}

/** What is asked: at most `most` different questions. */
function plan({ points, prompts, settings }: ScoringInput, most: number): { items: Item[]; leftOut: number } {
  const byId = new Map(prompts.map((prompt) => [prompt.id, prompt]));
  const pairs = new Map<number, CanaryPoint[]>();
  for (const point of points) {
    if (point.metric !== 'answer' || point.tags['block'] !== 'ab' || point.text === undefined) continue;
    append(pairs, point.pair, point);
  }
  const items = new Map<string, Item>();
  let leftOut = 0;
  for (const [, answers] of [...pairs].sort(([a], [b]) => a - b)) {
    const wanted = new Map<string, Item>();
    for (const at of answers) {
      const prompt = byId.get(at.prompt);
      if (prompt === undefined) continue;
      for (const score of settings.scores.filter((one) => applies(one, prompt))) {
        const key = JSON.stringify([score, at.prompt, at.text]);
        const item = wanted.get(key) ?? { score, prompt, text: at.text!, at: [], polls: [] };
        item.at.push(at);
        wanted.set(key, item);
      }
    }
    const added = [...wanted.keys()].filter((key) => !items.has(key)).length;
    if (leftOut > 0 || items.size + added > most) {
      leftOut += 1;
      continue;
    }
    for (const [key, item] of wanted) {
      const known = items.get(key);
      if (known === undefined) items.set(key, item);
      else known.at.push(...item.at);
    }
  }
  return { items: [...items.values()], leftOut };
}
