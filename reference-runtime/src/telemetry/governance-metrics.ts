// What governed routing adds to the metrics. Labels come from the configuration and the policy; what a policy makes up (names of splits
// and arms) is limited in number, the rest counts as `_OTHER`.
import type { Cost, PriceState } from '../server/cost.ts';
import type { QuotaKind, QuotaUse } from '../server/quota.ts';
import type { Instruments } from './instruments-made.ts';

/** How a copy ended that was sent. */
export type ShadowEnd = 'answered' | 'failed' | 'timed_out';

const MAX_ARMS = 64;
const OTHER = '_OTHER';

/** The state of the governed parts, as a scrape reads it. */
export interface GovernanceState {
  prices: Array<{ pool: string; state: PriceState }>;
  flags: Array<{ id: string; expired: boolean }>;
  /** By the label of the tenant. */
  quotas: QuotaUse[];
  pools: Array<{ pool: string; saturation: number; firstTokenMs: number | undefined }>;
}

export class GovernanceMetrics {
  readonly #instruments: Instruments;
  readonly #arms = new Set<string>();

  constructor(instruments: Instruments) {
    this.#instruments = instruments;
  }

  assigned(split: string, arm: string): void {
    const name = JSON.stringify([split, arm]);
    const known = this.#arms.has(name) || this.#arms.size < MAX_ARMS;
    if (known) this.#arms.add(name);
    this.#instruments.splits.inc({ mixgate_split: known ? split : OTHER, mixgate_split_arm: known ? arm : OTHER });
  }

  shadowDropped(reason: string): void {
    this.#instruments.shadowsDropped.inc({ mixgate_reason: reason });
  }

  shadowEnded(pool: string, outcome: ShadowEnd, seconds: number, cost: Cost | undefined): void {
    const { shadows, shadowSeconds, shadowCost } = this.#instruments;
    shadows.inc({ mixgate_pool: pool, mixgate_shadow_outcome: outcome });
    if (outcome === 'answered') shadowSeconds.observe({ mixgate_pool: pool }, seconds);
    if (cost !== undefined) shadowCost.inc({ mixgate_pool: pool, mixgate_cost_currency: cost.currency }, cost.amount);
  }

  cost(tenant: string, model: string, cost: Cost): void {
    const labels = { mixgate_tenant: tenant, gen_ai_response_model: model };
    this.#instruments.cost.inc({ ...labels, mixgate_cost_currency: cost.currency, mixgate_price_state: cost.price }, cost.amount);
  }

  unpriced(pool: string): void {
    this.#instruments.unpriced.inc({ mixgate_pool: pool });
  }

  quotaRefused(tenant: string, kind: QuotaKind): void {
    this.#instruments.quotaRefusals.inc({ mixgate_tenant: tenant, mixgate_quota: kind });
  }

  /** Brings the gauges up to date; called when scraped. */
  sync(now: GovernanceState): void {
    const { priceStale, flagExpired, quotaUse, poolFirstToken, poolSaturation } = this.#instruments;
    for (const { pool, state } of now.prices) priceStale.set({ mixgate_pool: pool }, state === 'stale' ? 1 : 0);
    for (const { id, expired } of now.flags) flagExpired.set({ mixgate_flag: id }, expired ? 1 : 0);
    quotaUse.reset();
    // Tenants that share a label: the fullest of them.
    const fullest = new Map<string, QuotaUse>();
    for (const use of now.quotas) {
      const key = `${use.kind} ${use.tenant}`;
      if ((fullest.get(key)?.ratio ?? -1) < use.ratio) fullest.set(key, use);
    }
    for (const { tenant, kind, ratio } of fullest.values()) quotaUse.set({ mixgate_tenant: tenant, mixgate_quota: kind }, ratio);
    poolFirstToken.reset();
    for (const { pool, saturation, firstTokenMs } of now.pools) {
      poolSaturation.set({ mixgate_pool: pool }, saturation);
      if (firstTokenMs !== undefined) poolFirstToken.set({ mixgate_pool: pool }, firstTokenMs / 1000);
    }
  }
}
