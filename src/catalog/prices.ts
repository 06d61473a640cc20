import type { Finding, Location } from '../core/finding.ts';
import type { Pool, PoolPrice } from './model.ts';
import { catalogFinding } from './rules.ts';

/** What a pool costs by the data that the routing policy decides on: `fleet.pools.<pool>.cost_per_mtok`. */
export interface PolicyPrice {
  readonly pool: string;
  /** The model that the pool runs, by the same data. */
  readonly model: string | undefined;
  /** A million tokens, in the currency of the catalogue. */
  readonly costPerMtok: number;
  readonly location: Location;
}

/** A price is stale after its age in whole days, and before the day it was looked up. */
export function stalePrices(pools: readonly Pool[], now: string): readonly Finding[] {
  return pools.flatMap(({ id, price }) => {
    if (price === undefined) return [];
    const age = Math.floor((Date.parse(now) - Date.parse(price.asOf)) / 86_400_000);
    if (age >= 0 && age <= price.maxAgeDays) return [];
    return [
      catalogFinding('catalog-price-stale', {
        message:
          age < 0
            ? `The price of pool ${id} was looked up on ${price.asOf}, which lies ahead.`
            : `The price of pool ${id} is ${age} days old, more than ${price.maxAgeDays}.`,
        location: price.location,
        subject: id,
        evidence: { asOf: price.asOf, maxAgeDays: price.maxAgeDays },
        fix: 'Look the price up again and set `price.asOf` to that day.',
      }),
    ];
  });
}

/**
 * Where the policy ranks pools by a cost that the catalogue contradicts. A million tokens of any mix of prompt and answer
 * cost something from the lower to the higher of the catalogue's two prices (the runtime weighs them by the tokens it
 * served), and a pool that is cheaper in both is cheaper. Amounts in several currencies are not compared.
 */
export function priceMismatches(pools: readonly Pool[], policy: readonly PolicyPrice[]): readonly Finding[] {
  const priced = pools.flatMap(({ id, price }) => (price === undefined ? [] : [[id, price] as const]));
  if (new Set(priced.map(([, price]) => price.currency)).size !== 1) return [];
  const prices = new Map(priced);
  const known = policy.flatMap((one) => {
    const price = prices.get(one.pool);
    return price === undefined ? [] : [{ ...one, price }];
  });
  const outside = known.filter(({ costPerMtok, price }) => costPerMtok < least(price) || costPerMtok > most(price));
  const others = known.filter((one) => !outside.includes(one));
  return [
    ...outside.map(outsideFinding),
    ...others.flatMap((one) => others.flatMap((two) => orderFinding(one, two)).slice(0, 1)),
  ];
}

type Known = PolicyPrice & { readonly price: PoolPrice };

const least = (price: PoolPrice): number => Math.min(price.perMtokInput, price.perMtokOutput);
const most = (price: PoolPrice): number => Math.max(price.perMtokInput, price.perMtokOutput);
const pair = ({ perMtokInput, perMtokOutput, currency }: PoolPrice): string =>
  `${perMtokInput} ${currency} (prompt) and ${perMtokOutput} ${currency} (answer)`;

function outsideFinding({ pool, costPerMtok, price, location }: Known): Finding {
  return catalogFinding('catalog-price-mismatch', {
    message: `The policy ranks pool ${pool} by ${costPerMtok} a million tokens; by the catalogue they cost ${pair(price)}.`,
    location,
    related: [{ ...price.location, message: 'the price in the catalogue' }],
    subject: pool,
    evidence: { policy: costPerMtok, perMtokInput: price.perMtokInput, perMtokOutput: price.perMtokOutput },
    fix: `Set cost_per_mtok to a value from ${least(price)} to ${most(price)}, as your mix of prompts and answers makes it, or correct the price.`,
  });
}

/** The first is enough: `dear` is the dearer one for the policy and the cheaper one by the catalogue. */
function orderFinding(dear: Known, cheap: Known): readonly Finding[] {
  const cheaper =
    dear.price.perMtokInput <= cheap.price.perMtokInput &&
    dear.price.perMtokOutput <= cheap.price.perMtokOutput &&
    (dear.price.perMtokInput < cheap.price.perMtokInput || dear.price.perMtokOutput < cheap.price.perMtokOutput);
  if (!cheaper || dear.costPerMtok <= cheap.costPerMtok || dear.model !== cheap.model) return [];
  return [
    catalogFinding('catalog-price-mismatch', {
      message: `The policy takes pool ${dear.pool} for dearer than ${cheap.pool} (${dear.costPerMtok} and ${cheap.costPerMtok} a million tokens); by the catalogue it is cheaper: ${pair(dear.price)} against ${pair(cheap.price)}.`,
      location: dear.location,
      related: [
        { ...dear.price.location, message: `the price of ${dear.pool} in the catalogue` },
        { ...cheap.price.location, message: `the price of ${cheap.pool} in the catalogue` },
        { ...cheap.location, message: `what ${cheap.pool} costs for the policy` },
      ],
      subject: `${dear.pool} ${cheap.pool}`,
      evidence: { policy: [dear.costPerMtok, cheap.costPerMtok] },
      fix: 'Set cost_per_mtok of both pools by the same mix of prompts and answers, or correct the prices.',
    }),
  ];
}
