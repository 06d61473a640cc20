import { ConfigurationError, type Problem } from '../../core/errors.ts';
import { type AnswerCheck, parseCheck } from './answer-check.ts';

/** A prompt of the canary corpus: a line of NDJSON. */
export interface PromptRecord {
  readonly id: string;
  /** Domain or language: what verdicts are given for. */
  readonly segment: string;
  readonly prompt: string;
  readonly task?: string;
  readonly domain?: string;
  readonly language?: string;
  /** A check of the generated text. */
  readonly check?: AnswerCheck;
  /** What the answer must rest on, for context adherence. */
  readonly context?: string;
  /** Tools that the answer may call, for tool selection: as in an OpenAI request. */
  readonly tools?: readonly unknown[];
}

const MAX_PROMPTS = 20_000;
const MAX_PROMPT_CHARS = 64 * 1024;

/** Reads prompt lines; every bad line is reported with its number. Other keys (source, licence, ...) are ignored. */
export function parseCorpus(files: readonly { readonly file: string; readonly text: string }[]): readonly PromptRecord[] {
  const prompts: PromptRecord[] = [];
  const problems: Problem[] = [];
  const seen = new Map<string, string>();
  for (const { file, text } of files) {
    for (const [index, line] of text.split('\n').entries()) {
      if (line.trim() === '') continue;
      const location = { file, line: index + 1 };
      const parsed = parseLine(line);
      if (typeof parsed === 'string') {
        problems.push({ message: parsed, location, expected: '{"id": "...", "segment": "...", "prompt": "..."}' });
        continue;
      }
      const before = seen.get(parsed.id);
      if (before !== undefined)
        problems.push({
          message: `the prompt id ${JSON.stringify(parsed.id)} is used twice (first at ${before}).`,
          location,
          fix: 'give each prompt its own id.',
        });
      seen.set(parsed.id, `${file}:${index + 1}`);
      prompts.push(parsed);
      if (prompts.length > MAX_PROMPTS) throw new ConfigurationError({ message: `more than ${MAX_PROMPTS} prompts.`, location });
    }
  }
  if (problems.length > 0) throw new ConfigurationError(problems.slice(0, 50));
  if (prompts.length === 0)
    throw new ConfigurationError({
      message: 'the canary corpus has no prompts.',
      ...(files[0] === undefined ? {} : { location: { file: files[0].file } }),
      expected: 'NDJSON lines with id, segment and prompt',
    });
  return prompts;
}

function parseLine(line: string): PromptRecord | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'not a line of JSON.';
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'not a JSON object.';
  const record = value as Record<string, unknown>;
  for (const key of ['id', 'segment', 'prompt'] as const) {
    const field = record[key];
    if (typeof field !== 'string' || field === '')
      return `\`${key}\` is ${field === undefined ? 'missing' : 'not a non-empty string'}.`;
  }
  const { id, segment, prompt, check, context, tools } = record as {
    id: string;
    segment: string;
    prompt: string;
    check?: unknown;
    context?: unknown;
    tools?: unknown;
  };
  if (prompt.length > MAX_PROMPT_CHARS)
    return `\`prompt\` has ${prompt.length} characters; at most ${MAX_PROMPT_CHARS} are sent.`;
  if (!/^[\w.:-]{1,100}$/u.test(segment)) return '`segment` holds characters other than letters, digits, `_`, `.`, `:` and `-`.';
  const groups: { task?: string; domain?: string; language?: string } = {};
  for (const key of ['task', 'domain', 'language'] as const) {
    const group = record[key];
    if (group === undefined) continue;
    if (typeof group !== 'string' || !/^[\w.:-]{1,100}$/u.test(group))
      return `\`${key}\` is not a name of letters, digits, \`_\`, \`.\`, \`:\` and \`-\`.`;
    groups[key] = group;
  }
  const parsedCheck = check === undefined ? undefined : parseCheck(check);
  if (typeof parsedCheck === 'string') return parsedCheck;
  return {
    id,
    segment,
    prompt,
    ...(typeof context === 'string' ? { context: context.slice(0, MAX_PROMPT_CHARS) } : {}),
    ...(Array.isArray(tools) ? { tools } : {}),
    ...groups,
    ...(parsedCheck === undefined ? {} : { check: parsedCheck }),
  };
}
