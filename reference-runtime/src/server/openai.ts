// A request body in the form that the stages work with. What no pool could serve is refused by name, never ignored; what only some can
// is noted, for the policy and for the routing after it.
import type { Prompt, ResponseFormat } from '../engine/types.ts';
import { badRequest } from './errors.ts';
import type { Body } from './openai-schema.ts';
import { checkShape, type Endpoint } from './openai-shape.ts';
import { type Beyond, beyond, chatOf, type Sampling, samplingOf } from './requirements.ts';
import { readResponseFormat } from './response-format.ts';

/** A request of either endpoint in one form. */
export interface CompletionRequest extends Beyond {
  endpoint: Endpoint;
  /** The end user, as the client names one. */
  user: string | undefined;
  model: string | undefined;
  prompt: Prompt;
  /** The prompt's text where it was given as text: what `echo` returns. */
  promptText: string | undefined;
  maxTokens: number | undefined;
  temperature: number;
  topP: number;
  seed: number | undefined;
  sampling: Sampling;
  stop: string[];
  format: ResponseFormat | undefined;
  logprobs: number | undefined;
  echo: boolean;
  stream: boolean;
  includeUsage: boolean;
}

/** Checks a body and brings it into one form. @throws HttpError 400 naming the parameter */
export function parseRequest(endpoint: Endpoint, given: unknown): CompletionRequest {
  const body = checkShape(endpoint, given);
  if ((body.n ?? 1) > 1)
    throw badRequest(
      `n = ${body.n}: this runtime makes one completion per request; send the request ${body.n} times`,
      'n',
      'unsupported_value',
    );
  // A nucleus of nothing holds the most likely token still: what temperature 0 takes.
  const greedy = body.top_p === 0;
  const { sampling, requires } = samplingOf(body);
  const { format, refusal } = readResponseFormat(body.response_format);
  if (refusal !== undefined) requires.push({ capability: 'json_schema_full', param: 'response_format', refusal });
  const common = {
    model: body.model ?? undefined,
    user: body.user || undefined,
    temperature: greedy ? 0 : (body.temperature ?? 1),
    topP: greedy ? 1 : (body.top_p ?? 1),
    seed: body.seed ?? undefined,
    sampling,
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    format,
    stream: body.stream ?? false,
    includeUsage: body.stream_options?.include_usage ?? false,
  };
  if (endpoint === 'completions') {
    const { prompt, text } = completionPrompt(body.prompt as string | string[] | number[]);
    const echo = body.echo ?? false;
    if (echo && text === undefined) throw badRequest('echo needs a prompt given as text', 'echo');
    return {
      ...common,
      ...beyond(body, requires),
      endpoint,
      prompt,
      promptText: text,
      maxTokens: body.max_tokens ?? 16,
      logprobs: (body.logprobs as number | null | undefined) ?? undefined,
      echo,
    };
  }
  const chat = chatOf(body.messages ?? []);
  if (body.top_logprobs != null && body.logprobs !== true) throw badRequest('top_logprobs needs logprobs: true', 'top_logprobs');
  return {
    ...common,
    ...beyond(body, requires, chat),
    endpoint,
    prompt: { kind: 'chat', messages: chat.messages },
    promptText: undefined,
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
    logprobs: body.logprobs === true ? (body.top_logprobs ?? 0) : undefined,
    echo: false,
  };
}

function completionPrompt(prompt: NonNullable<Body['prompt']>): { prompt: Prompt; text: string | undefined } {
  if (typeof prompt === 'string') return { prompt: { kind: 'text', text: prompt }, text: prompt };
  const first = prompt[0];
  if (typeof first === 'number') return { prompt: { kind: 'tokens', tokens: prompt as number[] }, text: undefined };
  if (prompt.length > 1)
    throw badRequest(`prompt has ${prompt.length} texts: this runtime takes one per request`, 'prompt', 'unsupported_value');
  return { prompt: { kind: 'text', text: first as string }, text: first as string };
}
