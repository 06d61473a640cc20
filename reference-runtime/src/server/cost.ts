// What a request cost, from the price of the pool that served it. A price that is too old is used and said to be; without one there is
// no cost, which is not a cost of 0.
import type { PriceConfig } from '../config/types.ts';

export type PriceState = 'current' | 'stale';

/** Tokens of a request. `cached` are those of the prompt that a cache had. */
export interface TokensUsed {
  prompt: number;
  cached?: number;
  completion: number;
}

/** The cost of one request. `amount` is in units of `currency`. */
export interface Cost {
  amount: number;
  currency: string;
  price: PriceState;
  asOf: string;
}

/** Stale before its day, too: a price from the future was looked up by nobody. */
export function priceState(price: PriceConfig, nowMs: number): PriceState {
  return nowMs >= price.fromMs && nowMs < price.untilMs ? 'current' : 'stale';
}

/** Tokens x price per million: prompt, what of it a cache had, and answer each at its own. */
export function costOf(price: PriceConfig, tokens: TokensUsed, nowMs: number): Cost {
  const cached = Math.min(tokens.cached ?? 0, tokens.prompt);
  const input = (tokens.prompt - cached) * price.perMtokInput + cached * (price.perMtokCachedInput ?? price.perMtokInput);
  return {
    amount: (input + tokens.completion * price.perMtokOutput) / 1e6,
    currency: price.currency,
    price: priceState(price, nowMs),
    asOf: price.asOf,
  };
}

/** The price of a million tokens of a request with such a mix: what the policy ranks pools by. */
export function perMtok(price: PriceConfig, tokens: { prompt: number; completion: number }): number {
  const all = tokens.prompt + tokens.completion;
  if (all === 0) return price.perMtokInput;
  return (tokens.prompt * price.perMtokInput + tokens.completion * price.perMtokOutput) / all;
}

/** `0.0000231 EUR; price=current; as-of=2026-11-01`: structured enough to read, plain enough to parse (RFC 9651 parameters). */
export function costHeader(cost: Cost): string {
  return `${cost.amount.toFixed(9)} ${cost.currency}; price=${cost.price}; as-of=${cost.asOf}`;
}
