import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigurationError, ExternalError } from '../../core/errors.ts';
import { readBounded } from '../../core/read-bounded.ts';
import type { CanaryProfileDocument } from '../../generated/schemas.ts';
import { parsePoll } from './prompts.ts';

export type JudgeSettings = NonNullable<CanaryProfileDocument['judge']>;

export const JUDGE_DEFAULTS = { polls: 5, temperature: 1, concurrency: 4, timeoutMs: 30_000, maxRequests: 2000 } as const;

const MAX_TOKENS = 512;
const MAX_RESPONSE_BYTES = 256 * 1024;
const RETRIES = 2;
const MAX_WAIT_MS = 10_000;
/** A judge that failed this often in a row is away: the polls left are not sent. */
const GIVE_UP_AFTER = 12;

/** `unparsable`: it answered, but not with a verdict. `unanswered`: no answer after retries, or the budget of requests is used up. */
export type Poll = boolean | 'unparsable' | 'unanswered';

export interface JudgeClient {
  /** One poll. Never throws for what the judge does, except when it refuses the key or the model (ExternalError). */
  poll(message: string): Promise<Poll>;
  /** Requests sent so far, retries included. */
  readonly requests: number;
}

/** @param wait pauses before a retry, milliseconds; a parameter so that tests need not wait */
export function judgeClient(
  settings: JudgeSettings,
  key: string | undefined,
  signal: AbortSignal,
  wait: (ms: number) => Promise<void> = sleep,
): JudgeClient {
  const url = `${settings.url.replace(/\/+$/, '')}/chat/completions`;
  const budget = settings.maxRequests ?? JUDGE_DEFAULTS.maxRequests;
  let requests = 0;
  let failures = 0;

  const send = async (message: string): Promise<{ status: number; after: number; content?: unknown }> => {
    const response = await fetch(url, {
      method: 'POST',
      // The key goes to this address and nowhere else.
      redirect: 'error',
      headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
      body: JSON.stringify({
        model: settings.model,
        messages: [{ role: 'user', content: message }],
        temperature: settings.temperature ?? JUDGE_DEFAULTS.temperature,
        max_tokens: MAX_TOKENS,
        stream: false,
        ...(settings.jsonMode === true ? { response_format: { type: 'json_object' } } : {}),
      }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(settings.timeoutMs ?? JUDGE_DEFAULTS.timeoutMs)]),
    });
    const after = 1000 * Number(response.headers.get('retry-after') ?? 0);
    if (response.status !== 200) {
      await response.body?.cancel();
      return { status: response.status, after };
    }
    const bytes = await readBounded(response.body, MAX_RESPONSE_BYTES, () => new Error('the answer is too large'));
    const body = JSON.parse(bytes.toString('utf8')) as { choices?: { message?: { content?: unknown } }[] } | null;
    return { status: 200, after, content: body?.choices?.[0]?.message?.content };
  };

  return {
    get requests() {
      return requests;
    },
    async poll(message) {
      for (let attempt = 0; attempt <= RETRIES; attempt += 1) {
        if (requests >= budget || failures >= GIVE_UP_AFTER) return 'unanswered';
        requests += 1;
        let after = 0;
        try {
          const result = await send(message);
          if ([401, 403, 404].includes(result.status)) throw refused(settings, result.status);
          if (result.status === 200) {
            failures = 0;
            return parsePoll(result.content) ?? 'unparsable';
          }
          after = result.after;
          failures += 1;
          if (result.status !== 408 && result.status !== 429 && result.status < 500) return 'unanswered';
        } catch (cause) {
          if (signal.aborted || cause instanceof ExternalError) throw cause;
          failures += 1;
        }
        if (attempt < RETRIES)
          await wait(Math.min(MAX_WAIT_MS, Math.max(Number.isFinite(after) ? after : 0, 250 * 2 ** attempt)));
      }
      return 'unanswered';
    },
  };
}

function refused(settings: JudgeSettings, status: number): ExternalError {
  return new ExternalError({
    message: `the judge model answered HTTP ${status} at ${displayUrl(settings.url)}.`,
    fix:
      status === 404
        ? 'correct `judge.url` (it ends in /v1 as a rule) or `judge.model` in the profile.'
        : `check the key${settings.apiKeyEnv === undefined ? ' (`judge.apiKeyEnv` names its variable)' : ` in ${settings.apiKeyEnv}`}.`,
  });
}

/** A URL's query may hold a key. */
function displayUrl(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

/** The key of the profile's judge. @throws ConfigurationError when its variable is empty, or would travel in the clear */
export function judgeKey(settings: JudgeSettings, env: NodeJS.ProcessEnv): string | undefined {
  if (!URL.canParse(settings.url))
    throw new ConfigurationError({ message: `judge.url is ${JSON.stringify(settings.url)}.`, expected: 'an http or https URL' });
  if (settings.apiKeyEnv === undefined) return undefined;
  const key = env[settings.apiKeyEnv];
  if (key === undefined || key === '')
    throw new ConfigurationError({
      message: `the key of the judge model is missing: ${settings.apiKeyEnv} is not set.`,
      fix: 'set the variable, or remove `judge.apiKeyEnv` for a judge that needs no key.',
    });
  const { protocol, hostname } = new URL(settings.url);
  if (protocol === 'http:' && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname))
    throw new ConfigurationError({
      message: `the key of the judge model would travel unencrypted to ${hostname}.`,
      fix: 'use https in `judge.url`.',
    });
  return key;
}
