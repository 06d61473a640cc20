// OpenAI's wire format as a client reads and writes it.
import {
  type Delta,
  EngineError,
  type EngineEvent,
  type FinishReason,
  type GenerateRequest,
  type PassedOn,
  type ResponseFormat,
  type TokenScore,
  type ToolCallDelta,
  type UsageDetails,
} from './types.ts';

interface Logprobs {
  tokens?: string[];
  token_logprobs?: Array<number | null>;
  top_logprobs?: Array<Record<string, number> | null>;
  content?: Array<{
    token: string;
    logprob: number;
    bytes?: number[] | null;
    top_logprobs?: Array<{ token: string; logprob: number; bytes?: number[] | null }>;
  }> | null;
}

/** A chunk of a stream, or a whole answer. */
export interface Chunk {
  choices?: Array<{
    text?: string;
    delta?: Record<string, unknown> & { content?: string | null };
    message?: { content?: string | null };
    logprobs?: Logprobs | null;
    finish_reason?: string | null;
  }>;
  usage?: {
    prompt_tokens?: number;
    completion_tokens?: number;
    prompt_tokens_details?: object | null;
    completion_tokens_details?: object | null;
  } | null;
  error?: { message?: string };
}

const encoder = new TextEncoder();

/** Token ids are not part of OpenAI's API: -1 says unknown. */
export function scoresOf(logprobs: Logprobs | null | undefined): TokenScore[] {
  // Null of a piece that is no text, such as a tool call.
  if (logprobs?.content === null) return [];
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
  const { name, description, original, strict = true } = format;
  return {
    type: 'json_schema',
    json_schema: { name, schema: original, strict, ...(description === undefined ? {} : { description }) },
  };
}

const FINISH_REASONS: Record<string, FinishReason> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool_calls',
  content_filter: 'content_filter',
};

/** Why a text ended, in OpenAI's words: what a server has words of its own for is a plain end. */
export function finishReasonOf(reason: string | null | undefined): FinishReason {
  return Object.hasOwn(FINISH_REASONS, reason ?? '') ? (FINISH_REASONS[reason ?? ''] as FinishReason) : 'stop';
}

/** A tool call whose arguments are text: some servers send them as the object that the text would be of. */
function asText(call: ToolCallDelta): ToolCallDelta {
  const args: unknown = call.function?.arguments;
  if (typeof args !== 'object' || args === null) return call;
  return { ...call, function: { ...call.function, arguments: JSON.stringify(args) } };
}

const TEXTS = ['refusal', 'reasoning_content', 'reasoning'] as const;

/** What of a streamed message is no content; undefined where there is nothing. @throws EngineError when its tool calls are none */
export function deltaOf(delta: Record<string, unknown> | undefined): Delta | undefined {
  if (delta === undefined) return undefined;
  const out: Delta = {};
  const calls = delta['tool_calls'];
  if (calls !== undefined && calls !== null) {
    const isCall = (call: unknown): boolean => typeof call === 'object' && call !== null && !Array.isArray(call);
    if (!Array.isArray(calls) || !calls.every(isCall))
      throw new EngineError('UPSTREAM_ERROR', 'the upstream sent tool_calls that are no list of objects');
    if (calls.length > 0) out.tool_calls = calls.map(asText);
  }
  for (const name of TEXTS) {
    const text = delta[name];
    if (typeof text === 'string' && text !== '') out[name] = text;
  }
  return Object.keys(out).length === 0 ? undefined : out;
}

/** The details of a usage; undefined where there are none. */
export function detailsOf(usage: Chunk['usage']): UsageDetails | undefined {
  const { prompt_tokens_details: prompt, completion_tokens_details: completion } = usage ?? {};
  if (prompt == null && completion == null) return undefined;
  return { ...(prompt == null ? {} : { prompt }), ...(completion == null ? {} : { completion }) };
}

/** Sampling that is not asked for is not mentioned: not every server knows all of it. */
function sampling({ seed, frequencyPenalty, presencePenalty, logitBias, topK, minP }: GenerateRequest): object {
  return {
    ...(seed === undefined ? {} : { seed }),
    ...(frequencyPenalty === undefined ? {} : { frequency_penalty: frequencyPenalty }),
    ...(presencePenalty === undefined ? {} : { presence_penalty: presencePenalty }),
    ...(logitBias === undefined ? {} : { logit_bias: Object.fromEntries(logitBias) }),
    ...(topK === undefined ? {} : { top_k: topK }),
    ...(minP === undefined ? {} : { min_p: minP }),
  };
}

/** The body of the request; what is passed on is in it as the client sent it. */
export function requestBody(model: string, request: GenerateRequest, passed?: PassedOn): object {
  const { prompt } = request;
  const chat = prompt.kind === 'chat';
  return {
    model,
    ...(chat
      ? { messages: passed?.messages ?? prompt.messages }
      : { prompt: prompt.kind === 'text' ? prompt.text : prompt.tokens, echo: request.echo }),
    max_tokens: request.maxTokens,
    temperature: request.temperature,
    top_p: request.topP,
    ...sampling(request),
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
    ...passed?.parameters,
    ...passed?.bookkeeping,
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
    finishReason: finishReasonOf(choice?.finish_reason),
    promptTokens,
    completionTokens: completion,
  };
}
