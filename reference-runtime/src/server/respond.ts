// OpenAI's response bodies and stream chunks from engine events.
import type { Delta, FinishReason, TokenScore, UsageDetails } from '../engine/types.ts';
import type { MessageParts } from './message.ts';
import type { CompletionRequest } from './openai.ts';

/** What every body of one response shares. `created` in seconds since the epoch. */
export interface ResponseHead {
  id: string;
  created: number;
  model: string;
}

export interface Usage {
  promptTokens: number;
  completionTokens: number;
  details?: UsageDetails | undefined;
}

function usageBody(usage: Usage): object {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    ...(usage.details?.prompt === undefined ? {} : { prompt_tokens_details: usage.details.prompt }),
    ...(usage.details?.completion === undefined ? {} : { completion_tokens_details: usage.details.completion }),
  };
}

/**
 * OpenAI's legacy log probabilities (also vLLM's): parallel arrays; the first token of a scored prompt has null. `text_offset` counts
 * characters (Unicode code points, as Python counts them) of `text` before the token; a control token takes none.
 */
function legacyLogprobs(scores: TokenScore[], offset = 0): { logprobs: object; length: number } {
  const out = {
    tokens: [] as string[],
    token_logprobs: [] as Array<number | null>,
    top_logprobs: [] as Array<Record<string, number> | null>,
    text_offset: [] as number[],
  };
  // Offsets come from the bytes, so that a character split over tokens counts once.
  const decoder = new TextDecoder();
  let at = offset;
  for (const score of scores) {
    out.tokens.push(score.text);
    out.token_logprobs.push(score.logprob);
    out.text_offset.push(at);
    out.top_logprobs.push(
      score.logprob === null ? null : Object.fromEntries(score.top.map((entry) => [topName(entry, score.top), entry.logprob])),
    );
    at += [...decoder.decode(Uint8Array.from(score.bytes), { stream: true })].length;
  }
  return { logprobs: out, length: at };
}

/** The name of an alternative: its text, or its bytes in hex where the text is no UTF-8 or not the only one so spelt. */
function topName(entry: TokenScore['top'][number], all: TokenScore['top']): string {
  const ambiguous =
    entry.text === '' || entry.text.includes('\uFFFD') || all.some((other) => other.id !== entry.id && other.text === entry.text);
  return ambiguous
    ? `bytes:${entry.bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}#${entry.id}`
    : entry.text;
}

/** Chat log probabilities: {content: [{token, logprob, bytes, top_logprobs}]}. */
function chatLogprobs(scores: TokenScore[]): object {
  return {
    content: scores.map((score) => ({
      token: score.text,
      logprob: score.logprob,
      bytes: score.bytes,
      top_logprobs: score.top.map((entry) => ({ token: entry.text, logprob: entry.logprob, bytes: entry.bytes })),
    })),
    refusal: null,
  };
}

/** The whole body of a response that is not streamed. */
export function completionBody(
  head: ResponseHead,
  request: CompletionRequest,
  result: {
    text: string;
    /** What of the message is no text; absent where there is nothing. */
    parts: MessageParts | undefined;
    promptScores: TokenScore[];
    scores: TokenScore[];
    finishReason: FinishReason;
    usage: Usage;
  },
): Record<string, unknown> {
  const common = { id: head.id, created: head.created, model: head.model, usage: usageBody(result.usage) };
  if (request.endpoint === 'chat') {
    const logprobs = request.logprobs === undefined ? null : chatLogprobs(result.scores);
    const content = result.text === '' && result.parts !== undefined ? null : result.text;
    const message = { role: 'assistant', content, refusal: null, ...result.parts };
    return {
      ...common,
      object: 'chat.completion',
      choices: [{ index: 0, message, logprobs, finish_reason: result.finishReason }],
    };
  }
  const text = request.echo ? (request.promptText ?? '') + result.text : result.text;
  const scores = request.echo ? [...result.promptScores, ...result.scores] : result.scores;
  const logprobs = request.logprobs === undefined ? null : legacyLogprobs(scores).logprobs;
  return { ...common, object: 'text_completion', choices: [{ index: 0, text, logprobs, finish_reason: result.finishReason }] };
}

/** Makes the chunks of one stream, in order. */
export class ChunkWriter {
  readonly #head: ResponseHead;
  readonly #request: CompletionRequest;
  #offset = 0;
  #started = false;

  constructor(head: ResponseHead, request: CompletionRequest) {
    this.#head = head;
    this.#request = request;
  }

  #chunk(choice: object | undefined, extra: object = {}): object {
    const usage = this.#request.includeUsage && !('usage' in extra) ? { usage: null } : {};
    return {
      id: this.#head.id,
      object: this.#request.endpoint === 'chat' ? 'chat.completion.chunk' : 'text_completion',
      created: this.#head.created,
      model: this.#head.model,
      choices: choice === undefined ? [] : [choice],
      ...usage,
      ...extra,
    };
  }

  /** The echoed prompt of a completion. */
  prompt(scores: TokenScore[]): object | undefined {
    if (!this.#request.echo) return undefined;
    return this.#textChunk(this.#request.promptText ?? '', scores, null);
  }

  #textChunk(text: string, scores: TokenScore[], finishReason: FinishReason | null): object {
    if (this.#request.logprobs === undefined) return this.#chunk({ index: 0, text, logprobs: null, finish_reason: finishReason });
    const { logprobs, length } = legacyLogprobs(scores, this.#offset);
    this.#offset = length;
    return this.#chunk({ index: 0, text, logprobs: scores.length === 0 ? null : logprobs, finish_reason: finishReason });
  }

  token(text: string, score: TokenScore | undefined, more?: Delta): object {
    const scores = score === undefined ? [] : [score];
    if (this.#request.endpoint === 'completions') return this.#textChunk(text, scores, null);
    const delta =
      more === undefined ? this.#textDelta(text) : { ...(text === '' ? this.#noText() : this.#textDelta(text)), ...more };
    this.#started = true;
    return this.#chunk({ index: 0, delta, logprobs: score === undefined ? null : chatLogprobs(scores), finish_reason: null });
  }

  #textDelta(text: string): object {
    return this.#started ? { content: text } : { role: 'assistant', content: text };
  }

  #noText(): object {
    return this.#started ? {} : { role: 'assistant', content: null };
  }

  finish(finishReason: FinishReason): object {
    if (this.#request.endpoint === 'completions') return this.#textChunk('', [], finishReason);
    return this.#chunk({
      index: 0,
      delta: this.#started ? {} : { role: 'assistant', content: '' },
      logprobs: null,
      finish_reason: finishReason,
    });
  }

  /** The last chunk before [DONE]: usage where asked for, and mixgate's own object where opted in. Undefined when neither is. */
  tail(usage: Usage, mixgate: object | undefined): object | undefined {
    if (!this.#request.includeUsage && mixgate === undefined) return undefined;
    return this.#chunk(undefined, {
      ...(this.#request.includeUsage ? { usage: usageBody(usage) } : {}),
      ...(mixgate === undefined ? {} : { mixgate }),
    });
  }
}
