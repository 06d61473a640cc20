// The shipped corpus in two halves that share no prompt: one drives the canary, the other measures the truth. Prompts are cut, so that
// eighty runs take half an hour and not two.

import { ROOT } from '../../scripts/demo/shell.ts';
import { loadCorpus } from '../../src/canary/gate.ts';
import type { PromptRecord } from '../../src/canary/run/corpus.ts';
import { folderTree } from '../../src/workspace/tree.ts';

const MAX_CHARACTERS = 200;
/** Held-out prompts of each segment. */
const HELD_OUT = 15;

export interface Halves {
  readonly canary: readonly PromptRecord[];
  readonly heldOut: readonly PromptRecord[];
  segmentOf(prompt: string): string | undefined;
}

export async function corpusHalves(): Promise<Halves> {
  const whole = await loadCorpus(folderTree(ROOT), ['canary/corpus/*.ndjson']);
  const prompts = whole.map((prompt) => ({ ...prompt, prompt: [...prompt.prompt].slice(0, MAX_CHARACTERS).join('') }));
  const segments = new Map(prompts.map((prompt) => [prompt.prompt, prompt.segment]));
  return {
    canary: prompts.filter((_, index) => index % 2 === 0),
    heldOut: [...new Set(prompts.map((prompt) => prompt.segment))].flatMap((segment) =>
      prompts.filter((prompt, index) => index % 2 === 1 && prompt.segment === segment).slice(0, HELD_OUT),
    ),
    segmentOf: (prompt) => segments.get(prompt),
  };
}
