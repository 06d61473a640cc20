// OpenAI's wire format as a client reads and writes it.
import type { EngineEvent, GenerateRequest, ResponseFormat, TokenScore } from './types.ts';

interface Logprobs {
  tokens?: string[];
  token_logprobs?: Array<number | null>;
  top_logprobs?: Array<Record<string, number> | null>;
  content?: Array<{
    token: string;
    logprob: number;
    bytes?: number[] | null;
    top_logprobs?: Array<{ token: string; logprob: number; bytes?: number[] | null }>;
  }>;
}

/** A chunk of a stream, or a whole answer. */
export interface Chunk {
  choices?: Array<{
    text?: string;
    delta?: { content?: string | null };
    message?: { content?: string | null };
    logprobs?: Logprobs | null;
    finish_reason?: string | null;
  }>;
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null;
  error?: { message?: string };
}

const encoder = new TextEncoder();

/** Token ids are not part of OpenAI's API: -1 says unknown. */
export function scoresOf(logprobs: Logprobs | null | undefined): TokenScore[] {
  if (logprobs?.content !== undefined) {
    const entry = (item: { token: string; logprob: number; bytes?: number[] | null }): TokenScore['top'][number] => ({
      id: -1,
      text: item.token,
      bytes: item.bytes ?? [...encoder.encode(item.token)],
      logprob: item.logprob,
    });
    return logprobs.content.map((item) => ({ ...entry(item), top: (item.top_logprobs ?? []).map(entry) }));
  }
  return (logprobs?.tokens ?? []).map((text, index) => ({
    id: -1,
    text,
    bytes: [...encoder.encode(text)],
    logprob: logprobs?.token_logprobs?.[index] ?? null,
    top: Object.entries(logprobs?.top_logprobs?.[index] ?? {}).map(([name, logprob]) => ({
      id: -1,
      text: name,
      bytes: [...encoder.encode(name)],
      logprob,
    })),
  }));
}

/** The format as the client sent it: the other side has a grammar compiler of its own. */
function wireFormat(format: ResponseFormat): object {
  if (format.kind === 'json_object') return { type: 'json_object' };
  return { type: 'json_schema', json_schema: { name: format.name, schema: format.original, strict: true } };
}

/** The body of the request. */
export function requestBody(model: string, request: GenerateRequest): object {
  const { prompt } = request;
  const chat = prompt.kind === 'chat';
  return {
    model,
    ...(chat
      ? { messages: prompt.messages }
      : { prompt: prompt.kind === 'text' ? prompt.text : prompt.tokens, echo: request.echo }),
    max_tokens: request.maxTokens,
    temperature: request.temperature,
    top_p: request.topP,
    ...(request.seed === undefined ? {} : { seed: request.seed }),
    ...(request.stop.length === 0 ? {} : { stop: request.stop }),
    ...(request.logprobs === undefined
      ? {}
      : chat
        ? { logprobs: true, top_logprobs: request.logprobs }
        : { logprobs: request.logprobs }),
    ...(request.format === undefined ? {} : { response_format: wireFormat(request.format) }),
    // A scored prompt comes whole: servers differ in how they stream it.
    stream: !request.echo,
    ...(request.echo ? {} : { stream_options: { include_usage: true } }),
  };
}

/** The events of an answer that came in one piece. */
export function* wholeAnswer(body: Chunk, request: GenerateRequest): Generator<EngineEvent> {
  const choice = body.choices?.[0];
  const scores = scoresOf(choice?.logprobs);
  const completion = body.usage?.completion_tokens ?? 0;
  const split = scores.length - completion;
  const promptTokens = body.usage?.prompt_tokens ?? split;
  yield { type: 'prompt', tokens: promptTokens, scores: scores.slice(0, split) };
  const promptText = request.prompt.kind === 'text' ? request.prompt.text : '';
  const rest = (choice?.text ?? '').slice(promptText.length);
  const own = scores.slice(split);
  if (own.length === 0 && rest !== '') yield { type: 'token', text: rest };
  // The text as a whole is exact; the tokens' own texts are not where a character spans several.
  for (const [index, score] of own.entries()) yield { type: 'token', text: index === 0 ? rest : '', score };
  yield {
    type: 'done',
    finishReason: choice?.finish_reason === 'length' ? 'length' : 'stop',
    promptTokens,
    completionTokens: completion,
  };
}
