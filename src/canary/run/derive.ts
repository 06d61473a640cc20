import type { CanaryProfileDocument } from '../../generated/schemas.ts';
import { agreement } from './agreement.ts';
import { passesCheck } from './answer-check.ts';
import type { PromptRecord } from './corpus.ts';
import { costPoints } from './cost.ts';
import type { CanaryPoint } from './points.ts';

/** Runs the code of an answer and its test; undefined where the profile does not allow it. */
export type CodeRunner = (answer: string, test: string) => Promise<boolean>;

/**
 * What follows from the answers of a run: `check`, `agreement`, `cost_per_request`, `cost_per_mtok`. Code checks without a runner
 * are left out: they are then no data, never a pass.
 */
export async function derivePoints(
  points: readonly CanaryPoint[],
  profile: CanaryProfileDocument,
  prompts: readonly PromptRecord[],
  runCode: CodeRunner | undefined,
): Promise<CanaryPoint[]> {
  const derived: CanaryPoint[] = [];
  const byId = new Map(prompts.map((prompt) => [prompt.id, prompt]));
  const drawn = new Map<string, { at: CanaryPoint; texts: string[] }>();
  const ran = new Map<string, boolean>();
  for (const point of points) {
    if (point.text === undefined || point.tags['block'] === 'warmup') continue;
    const { pair, prompt, tags, text } = point;
    if (point.metric === 'sample') {
      const key = `${pair} ${tags['arm']}`;
      const own = drawn.get(key) ?? { at: point, texts: [] };
      own.texts.push(text);
      drawn.set(key, own);
    }
    const check = point.metric === 'answer' ? byId.get(prompt)?.check : undefined;
    if (check === undefined) continue;
    let passed: boolean;
    if (check.kind === 'code') {
      if (runCode === undefined) continue;
      const key = JSON.stringify([text, check.value]);
      passed = ran.get(key) ?? (await runCode(text, check.value));
      ran.set(key, passed);
    } else passed = passesCheck(check, text);
    derived.push({ metric: 'check', value: passed ? 1 : 0, pair, prompt, tags });
  }
  for (const { at, texts } of drawn.values()) {
    const value = agreement(texts);
    if (value !== undefined) derived.push({ metric: 'agreement', value, pair: at.pair, prompt: at.prompt, tags: at.tags });
  }
  if (profile.prices !== undefined) derived.push(...costPoints(points, profile.prices));
  return derived;
}

/** A point as k6 writes it, for sample files that are judged again later. */
export function pointLine({ metric, value, tags, pair, prompt, text }: CanaryPoint): string {
  return JSON.stringify({
    metric: `mixgate_${metric}`,
    type: 'Point',
    data: { value, tags, metadata: { pair: String(pair), prompt, ...(text === undefined ? {} : { text }) } },
  });
}
