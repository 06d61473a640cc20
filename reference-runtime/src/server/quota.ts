// Stage 2: what a tenant may use. A token bucket for the rate, a counter for concurrency; time is a parameter.
import type { TenantQuota } from '../config/types.ts';
import { forbidden, tooMany } from './errors.ts';

interface Usage {
  tokens: number;
  updatedMs: number;
  running: number;
}

/** Quotas of all tenants. */
export class Quotas {
  readonly #quotas: Record<string, TenantQuota>;
  readonly #usage = new Map<string, Usage>();

  constructor(quotas: Record<string, TenantQuota>) {
    this.#quotas = quotas;
  }

  /**
   * Admits one request of `tenant` at `nowMs`, or throws HttpError 403 or 429. Call the returned function when the request is over.
   */
  enter(tenant: string, nowMs: number): () => void {
    const quota = Object.hasOwn(this.#quotas, tenant) ? this.#quotas[tenant] : this.#quotas['default'];
    if (quota === undefined) throw forbidden('unknown_tenant', `tenant ${tenant} has no quota on this runtime`, 'quota');
    const rate = quota.requestsPerSecond;
    const burst = quota.burst ?? Math.max(1, Math.ceil(rate ?? 1));
    const usage = this.#usage.get(tenant) ?? { tokens: burst, updatedMs: nowMs, running: 0 };
    this.#usage.set(tenant, usage);
    if (quota.concurrency !== undefined && usage.running >= quota.concurrency) {
      throw tooMany(
        'concurrency_exceeded',
        `tenant ${tenant} already has ${usage.running} requests running, its limit`,
        'quota',
        1,
      );
    }
    if (rate !== undefined) {
      usage.tokens = Math.min(burst, usage.tokens + ((nowMs - usage.updatedMs) / 1000) * rate);
      usage.updatedMs = nowMs;
      if (usage.tokens < 1) {
        throw tooMany(
          'rate_exceeded',
          `tenant ${tenant} is over its ${rate} requests a second`,
          'quota',
          Math.max(1, Math.ceil((1 - usage.tokens) / rate)),
        );
      }
      usage.tokens -= 1;
    }
    usage.running++;
    let left = false;
    return () => {
      if (!left) usage.running--;
      left = true;
    };
  }
}
