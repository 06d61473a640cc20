import { ConfigurationError } from '../../core/errors.ts';
import type { CanaryProfileDocument } from '../../generated/schemas.ts';
import type { CanaryPoint } from './points.ts';

type Prices = NonNullable<CanaryProfileDocument['prices']>;
type Price = Prices['baseline'];

export const MAX_PRICE_AGE_DAYS = 90;

/**
 * Cost of every answered request, from its tokens or the time it held its accelerators, and per million tokens of both directions.
 * `e2e_ms` times accelerators is what the request costs a pool that serves one at a time: an upper bound where requests are batched.
 */
export function costPoints(points: readonly CanaryPoint[], prices: Prices): CanaryPoint[] {
  const requests = new Map<string, { at: CanaryPoint; input?: number; output?: number; ms?: number }>();
  const fields = { input_tokens: 'input', answer_tokens: 'output', e2e_ms: 'ms' } as const;
  for (const point of points) {
    if (!(point.metric in fields)) continue;
    const key = `${point.tags['block']} ${point.pair} ${point.tags['arm']}`;
    const request = requests.get(key) ?? { at: point };
    request[fields[point.metric as keyof typeof fields]] = point.value;
    requests.set(key, request);
  }
  return [...requests.values()].flatMap(({ at, input, output, ms }) => {
    // In the A/A block both arms are the baseline.
    const candidate = at.tags['arm'] === 'candidate' && at.tags['block'] !== 'aa';
    const cost = costOf(candidate ? (prices.candidate ?? prices.baseline) : prices.baseline, input, output, ms);
    if (cost === undefined) return [];
    const tokens = (input ?? 0) + (output ?? 0);
    const { pair, prompt, tags } = at;
    return [
      { metric: 'cost_per_request', value: cost, pair, prompt, tags },
      ...(tokens > 0 ? [{ metric: 'cost_per_mtok', value: (1e6 * cost) / tokens, pair, prompt, tags }] : []),
    ];
  });
}

function costOf(price: Price, input: number | undefined, output: number | undefined, ms: number | undefined): number | undefined {
  if (price.perAcceleratorHour !== undefined)
    return ms === undefined ? undefined : (price.perAcceleratorHour * (price.accelerators ?? 1) * ms) / 3_600_000;
  if (input === undefined || output === undefined) return undefined;
  return (input * (price.perMtokInput ?? 0) + output * (price.perMtokOutput ?? 0)) / 1e6;
}

/** Whole days since the prices were looked up. @throws ConfigurationError for a date that is none or lies ahead */
export function priceAgeDays(prices: Prices, now: string): number {
  const age = Math.floor((Date.parse(now) - Date.parse(prices.asOf)) / 86_400_000);
  if (!Number.isFinite(age) || age < 0)
    throw new ConfigurationError({
      message: `prices.asOf is ${JSON.stringify(prices.asOf)}, ${Number.isFinite(age) ? 'which lies in the future' : 'which is no date'}.`,
      expected: 'the day the prices were looked up, such as 2026-01-31',
    });
  return age;
}
