// The shipped corpus in two halves that share no prompt: one drives the canary, the other measures the truth.

import { ROOT } from '../../scripts/demo/shell.ts';
import { loadCorpus } from '../../src/canary/gate.ts';
import type { PromptRecord } from '../../src/canary/run/corpus.ts';
import { folderTree } from '../../src/workspace/tree.ts';

export interface Halves {
  readonly canary: readonly PromptRecord[];
  readonly heldOut: readonly PromptRecord[];
  segmentOf(prompt: string): string | undefined;
}

export async function corpusHalves(): Promise<Halves> {
  const prompts = await loadCorpus(folderTree(ROOT), ['canary/corpus/*.ndjson']);
  const segments = new Map(prompts.map((prompt) => [prompt.prompt, prompt.segment]));
  return {
    canary: prompts.filter((_, index) => index % 2 === 0),
    heldOut: prompts.filter((_, index) => index % 2 === 1),
    segmentOf: (prompt) => segments.get(prompt),
  };
}
