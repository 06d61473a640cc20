// Any OpenAI-compatible server (vLLM, SGLang, llama-server) as an engine, over its /v1/completions and /v1/chat/completions.
// Nothing is retried here: a request that may have reached the other side is not repeated; the fallbacks of the decision are for that.
import {
  type Engine,
  EngineError,
  type EngineEvent,
  type EngineInfo,
  type EngineStats,
  type FinishReason,
  type GenerateRequest,
  type ResponseFormat,
  type TokenScore,
} from './types.ts';

export interface UpstreamOptions {
  /** Base URL without /v1. */
  url: string;
  model: string;
  apiKey?: string;
}

const MAX_EVENT_CHARS = 4 * 1024 * 1024;

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

interface Chunk {
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
function scoresOf(logprobs: Logprobs | null | undefined): TokenScore[] {
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

/** The data of each server-sent event of a body. @throws EngineError when an event grows without end */
export async function* sseData(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let held = '';
  for await (const bytes of body) {
    held += decoder.decode(bytes, { stream: true }).replaceAll('\r\n', '\n');
    for (let end = held.indexOf('\n\n'); end >= 0; end = held.indexOf('\n\n')) {
      const data = held
        .slice(0, end)
        .split('\n')
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice(line.startsWith('data: ') ? 6 : 5))
        .join('\n');
      held = held.slice(end + 2);
      if (data !== '') yield data;
    }
    if (held.length > MAX_EVENT_CHARS) throw new EngineError('UPSTREAM_ERROR', 'the upstream sent an event larger than 4 MiB');
  }
}

/** The format as the client sent it: the other side has a grammar compiler of its own. */
function wireFormat(format: ResponseFormat): object {
  if (format.kind === 'json_object') return { type: 'json_object' };
  return { type: 'json_schema', json_schema: { name: format.name, schema: format.original, strict: true } };
}

/** The upstream engine. */
export class UpstreamEngine implements Engine {
  readonly #options: UpstreamOptions;
  #active = 0;

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  async load(): Promise<EngineInfo> {
    return {
      engine: 'upstream',
      model: this.#options.model,
      context: 0,
      sequences: Number.MAX_SAFE_INTEGER,
      threads: 0,
      gpu: 'unknown',
      loadMs: 0,
      layers: 0,
      experts: 0,
      expertsUsed: 0,
      parameters: 0,
      fileBytes: 0,
      trace: { available: false, reason: 'the routing of an upstream server is not visible' },
    };
  }

  stats(): EngineStats {
    return { state: 'ready', active: this.#active, sequences: Number.MAX_SAFE_INTEGER, restarts: 0, rssBytes: 0 };
  }

  async dispose(): Promise<void> {}

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    this.#active++;
    try {
      yield* this.#generate(request, signal);
    } catch (error) {
      if (signal.aborted) return;
      throw error instanceof EngineError
        ? error
        : new EngineError(
            'UPSTREAM_ERROR',
            `the upstream cannot be reached: ${error instanceof Error ? error.message : String(error)}`,
          );
    } finally {
      this.#active--;
    }
  }

  #body(request: GenerateRequest): object {
    const { prompt } = request;
    const chat = prompt.kind === 'chat';
    return {
      model: this.#options.model,
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

  async *#generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const path = request.prompt.kind === 'chat' ? '/v1/chat/completions' : '/v1/completions';
    const response = await fetch(`${this.#options.url.replace(/\/+$/, '')}${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(this.#options.apiKey === undefined ? {} : { authorization: `Bearer ${this.#options.apiKey}` }),
      },
      body: JSON.stringify(this.#body(request)),
      signal,
    });
    if (!response.ok || response.body === null) {
      const text = (await response.text()).slice(0, 500);
      if (response.status === 400) throw new EngineError('BAD_PROMPT', `the upstream refused the request: ${text}`);
      throw new EngineError('UPSTREAM_ERROR', `the upstream answered ${response.status}: ${text}`);
    }
    if (request.echo) {
      yield* this.#whole((await response.json()) as Chunk, request);
      return;
    }
    let finishReason: FinishReason = 'stop';
    let usage: Chunk['usage'];
    let count = 0;
    for await (const data of sseData(response.body)) {
      if (data === '[DONE]') break;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error !== undefined)
        throw new EngineError('UPSTREAM_ERROR', `the upstream failed: ${chunk.error.message ?? 'no message'}`);
      usage = chunk.usage ?? usage;
      const choice = chunk.choices?.[0];
      if (choice === undefined) continue;
      if (choice.finish_reason === 'length') finishReason = 'length';
      const text = choice.text ?? choice.delta?.content ?? '';
      const score = scoresOf(choice.logprobs)[0];
      if (text === '' && score === undefined) continue;
      count++;
      yield { type: 'token', text, ...(score === undefined ? {} : { score }) };
    }
    yield {
      type: 'done',
      finishReason,
      promptTokens: usage?.prompt_tokens ?? 0,
      completionTokens: usage?.completion_tokens ?? count,
    };
  }

  *#whole(body: Chunk, request: GenerateRequest): Generator<EngineEvent> {
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
}
