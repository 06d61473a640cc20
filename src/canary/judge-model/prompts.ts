import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../tools/package-root.ts';
import type { PromptRecord } from '../run/corpus.ts';

/** What a judge model is asked; also the name of the metric, whose value is the share of polls that say `true`. */
export const JUDGE_SCORES = ['hallucination', 'context_adherence', 'tool_selection', 'action_completion'] as const;
export type JudgeScore = (typeof JUDGE_SCORES)[number];

const MAX_PART_CHARS = 64 * 1024;

/** Context adherence is asked of prompts with a context, tool selection of prompts with tools, the others of all. */
export function applies(score: JudgeScore, prompt: PromptRecord): boolean {
  if (score === 'context_adherence') return prompt.context !== undefined && prompt.context !== '';
  if (score === 'tool_selection') return prompt.tools !== undefined && prompt.tools.length > 0;
  return true;
}

/** The shipped template of a score: canary/judge-prompts/<score>.md. */
export function judgeTemplate(score: JudgeScore): string {
  return readFileSync(join(packageRoot(), 'canary/judge-prompts', `${score}.md`), 'utf8');
}

/**
 * A template with question, context, tools and answer in place. All four are untrusted: they stand inside a fence, a random word that
 * they cannot know, and none of them can bring in a placeholder of its own.
 */
export function fillTemplate(template: string, prompt: PromptRecord, answer: string, fence: string): string {
  const parts: Readonly<Record<string, string>> = {
    prompt: prompt.prompt,
    context: prompt.context ?? '(none)',
    tools: prompt.tools === undefined ? '(none)' : JSON.stringify(prompt.tools, null, 1),
    answer,
  };
  return template.replace(/\{\{(?<name>\w+)\}\}/g, (whole, name: string) => {
    if (name === 'fence') return fence;
    return parts[name]?.slice(0, MAX_PART_CHARS).replaceAll(fence, '') ?? whole;
  });
}

/** A reply that is one code block as a whole: many models write JSON so, whatever they are told. */
const FENCED = /^\s*```(?:json)?[ \t]*\r?\n([^`]*)\n[ \t]*```\s*$/i;

/**
 * The verdict of one poll: `{"answer": true|false}` with an optional string `reasoning`, and nothing else (but a code fence around it all). Anything else is undefined, no
 * data: a reply that has to be guessed at may have been written by the answer it judges.
 */
export function parsePoll(content: unknown): boolean | undefined {
  if (typeof content !== 'string' || content.length > MAX_PART_CHARS) return undefined;
  const text = FENCED.exec(content)?.[1] ?? content;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { answer, reasoning, ...rest } = value as Record<string, unknown>;
  if (typeof answer !== 'boolean' || Object.keys(rest).length > 0) return undefined;
  if (reasoning !== undefined && typeof reasoning !== 'string') return undefined;
  // JSON.parse keeps the last of two equal keys: a reply with two verdicts has none.
  const keys = text.replace(/"(?:[^"\\]|\\.)*"/g, '').split(':').length - 1;
  return keys === (reasoning === undefined ? 1 : 2) ? answer : undefined;
}
