// What a tenant may use: requests at a rate (a token bucket), tokens and requests in any 60 seconds, requests at the same time. Limits
// come from the configuration and from the policy's decision, and the smaller one counts. Time is a parameter.
import type { TenantQuota } from '../config/types.ts';
import { forbidden, type HttpError, tooMany } from './errors.ts';
import { SlidingWindow } from './sliding-window.ts';

/** Limits that came with a decision; what is absent is unlimited. */
export interface DecidedQuota {
  tokensPerMinute?: number | undefined;
  requestsPerMinute?: number | undefined;
  concurrency?: number | undefined;
}

/** What a limit is of: the label of metrics. */
export type QuotaKind = 'requests' | 'tokens' | 'concurrency';

interface Usage {
  bucket: number;
  updatedMs: number;
  running: number;
  tokens: SlidingWindow;
  requests: SlidingWindow;
  limits: DecidedQuota;
}

/** A tenant's place for one request. */
export interface QuotaLease {
  /** Reserves tokens under the limits that apply once the request is decided. @throws HttpError 429 */
  reserve(limits: DecidedQuota, tokens: number, nowMs: number): void;
  /** The request is over; `tokens` are what it used in place of what was reserved. */
  settle(tokens: number, nowMs: number): void;
}

/** How full a tenant's limits are, 0 to 1 and above. */
export interface QuotaUse {
  tenant: string;
  kind: QuotaKind;
  ratio: number;
}

/** A limit as a client sees it: what is left now, and how long until all of it is, when nothing is asked for. */
export interface RateLimit {
  limit: number;
  remaining: number;
  resetMs: number;
}

/** What is unlimited is absent. */
export interface RateLimits {
  requests?: RateLimit;
  tokens?: RateLimit;
}

/** The `quota` of a decision in the form that is counted. */
export function decidedQuota(quota: unknown): DecidedQuota {
  if (typeof quota !== 'object' || quota === null) return {};
  const { tokens_per_minute, requests_per_minute, max_concurrency } = quota as Record<string, unknown>;
  return {
    tokensPerMinute: limit(tokens_per_minute),
    requestsPerMinute: limit(requests_per_minute),
    concurrency: limit(max_concurrency),
  };
}

function limit(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 ? value : undefined;
}

const least = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b);

/** From so many tenants on those that are idle are forgotten; not more often than so. */
const MANY_TENANTS = 10_000;
const FORGET_MS = 10_000;

/** Quotas of all tenants, of this process. */
export class Quotas {
  #forgotMs = Number.NEGATIVE_INFINITY;
  readonly #quotas: Record<string, TenantQuota>;
  readonly #usage = new Map<string, Usage>();

  constructor(quotas: Record<string, TenantQuota>) {
    this.#quotas = quotas;
  }

  /** Admits one request of `tenant` at `nowMs`. @throws HttpError 403 for a tenant without a quota, 429 above it */
  enter(tenant: string, nowMs: number): QuotaLease {
    const quota = this.#quotaOf(tenant);
    if (quota === undefined) throw forbidden('unknown_tenant', `tenant ${tenant} has no quota on this runtime`, 'quota');
    const rate = quota.requestsPerSecond;
    const burst = burstOf(rate, quota.burst);
    const usage = this.#usageOf(tenant, burst, nowMs);
    if (quota.concurrency !== undefined && usage.running >= quota.concurrency) throw tooManyAtOnce(tenant, usage.running);
    if (rate !== undefined) {
      usage.bucket = Math.min(burst, usage.bucket + ((nowMs - usage.updatedMs) / 1000) * rate);
      usage.updatedMs = nowMs;
      if (usage.bucket < 1) {
        const wait = Math.max(1, Math.ceil((1 - usage.bucket) / rate));
        throw tooMany('rate_exceeded', `tenant ${tenant} is over its ${rate} requests a second`, 'quota', wait);
      }
      usage.bucket -= 1;
    }
    usage.running++;
    return lease(tenant, usage, quota);
  }

  /**
   * What `tenant` may still ask for, by the configuration and by the decision on its last request; of two limits of requests the one that
   * has less left. Nothing for a tenant that never asked.
   */
  limits(tenant: string, nowMs: number): RateLimits {
    const usage = this.#usage.get(tenant);
    const quota = this.#quotaOf(tenant);
    if (usage === undefined || quota === undefined) return {};
    const { requestsPerMinute, tokensPerMinute = quota.tokensPerMinute } = usage.limits;
    const rate =
      quota.requestsPerSecond === undefined ? undefined : bucketLimit(usage, quota.requestsPerSecond, quota.burst, nowMs);
    const window = requestsPerMinute === undefined ? undefined : windowLimit(usage.requests, requestsPerMinute, nowMs);
    const requests = rate === undefined || (window !== undefined && window.remaining < rate.remaining) ? window : rate;
    return {
      ...(requests === undefined ? {} : { requests }),
      ...(tokensPerMinute === undefined ? {} : { tokens: windowLimit(usage.tokens, tokensPerMinute, nowMs) }),
    };
  }

  #usageOf(tenant: string, burst: number, nowMs: number): Usage {
    const known = this.#usage.get(tenant);
    if (known !== undefined) return known;
    if (this.#usage.size >= MANY_TENANTS && nowMs - this.#forgotMs >= FORGET_MS) this.#forget(nowMs);
    const window = (): SlidingWindow => new SlidingWindow(60_000, 60);
    const usage = { bucket: burst, updatedMs: nowMs, running: 0, tokens: window(), requests: window(), limits: {} };
    this.#usage.set(tenant, usage);
    return usage;
  }

  /** An identity may have a tenant for every user: one that would be let in like a stranger need not be remembered. */
  #forget(nowMs: number): void {
    this.#forgotMs = nowMs;
    for (const [tenant, usage] of this.#usage) {
      const { requestsPerSecond: rate, burst } = this.#quotaOf(tenant) ?? {};
      const full = rate === undefined || bucketLimit(usage, rate, burst, nowMs).resetMs === 0;
      if (full && usage.running === 0 && usage.tokens.used(nowMs) === 0 && usage.requests.used(nowMs) === 0)
        this.#usage.delete(tenant);
    }
  }

  #quotaOf(tenant: string): TenantQuota | undefined {
    return Object.hasOwn(this.#quotas, tenant) ? this.#quotas[tenant] : this.#quotas['default'];
  }

  /** Tenants whose use is remembered. */
  get tenants(): number {
    return this.#usage.size;
  }

  /** For metrics: the tenants that have a limit, by kind. */
  use(nowMs: number): QuotaUse[] {
    const all: QuotaUse[] = [];
    for (const [tenant, { tokens, requests, running, limits }] of this.#usage) {
      const put = (kind: QuotaKind, used: number, limit: number | undefined): void => {
        if (limit !== undefined && limit > 0) all.push({ tenant, kind, ratio: used / limit });
      };
      put('tokens', tokens.used(nowMs), limits.tokensPerMinute);
      put('requests', requests.used(nowMs), limits.requestsPerMinute);
      put('concurrency', running, limits.concurrency);
    }
    return all;
  }
}

function burstOf(rate: number | undefined, burst: number | undefined): number {
  return burst ?? Math.max(1, Math.ceil(rate ?? 1));
}

function bucketLimit(usage: Usage, rate: number, burst: number | undefined, nowMs: number): RateLimit {
  const limit = burstOf(rate, burst);
  const left = Math.min(limit, usage.bucket + ((nowMs - usage.updatedMs) / 1000) * rate);
  return { limit, remaining: Math.floor(left), resetMs: ((limit - left) / rate) * 1000 };
}

function windowLimit(window: SlidingWindow, limit: number, nowMs: number): RateLimit {
  return { limit, remaining: Math.max(0, Math.floor(limit - window.used(nowMs))), resetMs: window.emptyMs(nowMs) };
}

function lease(tenant: string, usage: Usage, configured: TenantQuota): QuotaLease {
  let reserved: { slot: number; tokens: number } | undefined;
  let left = false;
  return {
    reserve(decided, tokens, nowMs) {
      const limits = {
        tokensPerMinute: least(decided.tokensPerMinute, configured.tokensPerMinute),
        requestsPerMinute: decided.requestsPerMinute,
        concurrency: least(decided.concurrency, configured.concurrency),
      };
      usage.limits = limits;
      // This request is already counted.
      if (limits.concurrency !== undefined && usage.running > limits.concurrency) throw tooManyAtOnce(tenant, usage.running - 1);
      const { tokensPerMinute, requestsPerMinute } = limits;
      if (requestsPerMinute !== undefined) {
        const wait = usage.requests.waitMs(nowMs, 1, requestsPerMinute);
        if (wait > 0) throw overWindow('requests_exceeded', tenant, requestsPerMinute, 'requests', wait);
      }
      if (tokensPerMinute !== undefined) {
        // More than a whole window can only be an estimate, or one long answer: it may start in an empty window.
        const wait = usage.tokens.waitMs(nowMs, Math.min(tokens, Math.max(1, tokensPerMinute)), tokensPerMinute);
        if (wait > 0) throw overWindow('tokens_exceeded', tenant, tokensPerMinute, 'tokens', wait);
      }
      usage.requests.add(nowMs, 1);
      reserved = { slot: usage.tokens.add(nowMs, tokens), tokens };
    },
    settle(tokens, nowMs) {
      if (left) return;
      left = true;
      usage.running--;
      if (reserved !== undefined) usage.tokens.correct(nowMs, reserved.slot, tokens - reserved.tokens);
    },
  };
}

function tooManyAtOnce(tenant: string, running: number): HttpError {
  return tooMany('concurrency_exceeded', `tenant ${tenant} already has ${running} requests running, its limit`, 'quota', 1);
}

function overWindow(code: string, tenant: string, limit: number, what: string, waitMs: number): HttpError {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000));
  return tooMany(code, `tenant ${tenant} is over its ${limit} ${what} a minute; try again in ${seconds} s`, 'quota', seconds);
}
