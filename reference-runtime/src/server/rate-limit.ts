// What a client may still ask for, in the headers that OpenAI's clients know ("Rate limits", section "Rate limits in headers").
import type { RateLimit, RateLimits } from './quota.ts';

/** A duration as OpenAI writes them: 120ms, 1s, 6m0s, 1h0m0s. Rounded up: who waits so long has waited long enough. */
export function durationText(ms: number): string {
  if (ms < 1000) return ms <= 0 ? '0s' : ms > 999 ? '1s' : `${Math.ceil(ms)}ms`;
  const seconds = Math.ceil(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (h > 0) return `${h}h${m}m${s}s`;
  return m > 0 ? `${m}m${s}s` : `${s}s`;
}

/** The headers of the limits there are; what is unlimited has none. Tokens that are reserved for running requests count as used. */
export function rateLimitHeaders({ requests, tokens }: RateLimits): Record<string, string> {
  const headers: Record<string, string> = {};
  const put = (what: 'requests' | 'tokens', of: RateLimit | undefined): void => {
    if (of === undefined) return;
    headers[`x-ratelimit-limit-${what}`] = String(of.limit);
    headers[`x-ratelimit-remaining-${what}`] = String(of.remaining);
    headers[`x-ratelimit-reset-${what}`] = durationText(of.resetMs);
  };
  put('requests', requests);
  put('tokens', tokens);
  return headers;
}
