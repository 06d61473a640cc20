import { ConfigurationError } from '../core/errors.ts';
import { createRng } from '../stats/rng.ts';
import { type Domain, digitsOf } from './domain.ts';

/**
 * Points for a domain that is too large to enumerate: first every point that differs from the base in at most `strength`
 * dimensions, then seeded random points, `limit` in all. The first part is a covering array of that strength (Kuhn,
 * Kacker, Lei, "Practical Combinatorial Testing", NIST SP 800-142, 2010): each combination of values of any `strength`
 * dimensions is seen at least once. It is not the smallest such array, but it needs no memory, and counterexamples that
 * it finds are near the base. Repetitions among the random points are possible. Deterministic in its arguments.
 */
export function* samplePoints(
  domain: Pick<Domain, 'dimensions'>,
  limit: number,
  seed: number,
  strength: number = coveringStrength(domain, limit),
): Generator<readonly number[]> {
  const base = domain.dimensions.map((d) => d.base ?? 0);
  const radices = domain.dimensions.map((d) => d.choices.length);
  let given = 0;
  for (const point of nearBase(base, radices, strength)) {
    if (given >= limit) return;
    given += 1;
    yield point;
  }
  const rng = createRng(seed);
  for (; given < limit; given += 1) yield radices.map((radix) => rng.int(radix));
}

/** Points within `strength` changes of the base: what a search spends on its covering array. */
export function coveringSize(domain: Pick<Domain, 'dimensions'>, strength: number): number {
  // Elementary symmetric polynomials of (radix - 1): ways[k] counts the points with exactly k changes.
  const ways = [1, ...new Array<number>(Math.min(strength, domain.dimensions.length)).fill(0)];
  for (const { choices } of domain.dimensions)
    for (let k = ways.length - 1; k > 0; k -= 1) ways[k]! += ways[k - 1]! * (choices.length - 1);
  return ways.reduce((sum, n) => sum + n, 0);
}

/** At least half of a search is random, unless even pairs need more: points near the base alone look the same way. */
const COVERING_SHARE = 0.5;

/** The largest t for which every t-way combination fits into a search of `limit` points; 0 when not even single values do. */
export function coveringStrength(domain: Pick<Domain, 'dimensions'>, limit: number): number {
  let strength = 0;
  while (strength < domain.dimensions.length) {
    const share = strength < 2 ? 1 : COVERING_SHARE;
    if (coveringSize(domain, strength + 1) > limit * share) break;
    strength += 1;
  }
  return strength;
}

/** Strengths that a search can be asked for; above six ways no more faults are found in practice (SP 800-142, section 2). */
export const STRENGTHS = { least: 2, most: 6 } as const;

/** @throws ConfigurationError where a search of `limit` points can't hold every combination of `strength` dimensions */
export function requireStrength(domain: Pick<Domain, 'dimensions' | 'location'>, limit: number, strength: number): void {
  const needed = coveringSize(domain, strength);
  if (needed <= limit) return;
  let most = strength;
  while (most > 0 && coveringSize(domain, most) > limit) most -= 1;
  throw new ConfigurationError({
    message: `every ${strength}-way combination of this domain takes ${needed} points, and the search has ${limit}.`,
    location: domain.location,
    fix: `give --max-points ${needed}${most < STRENGTHS.least ? '' : `, or --strength ${most}`}.`,
  });
}

/** Every point with at most `strength` changes, those with fewer changes first. */
function* nearBase(base: readonly number[], radices: readonly number[], strength: number): Generator<readonly number[]> {
  for (let changes = 0; changes <= Math.min(strength, radices.length); changes += 1) yield* changed(base, radices, 0, changes);
}

function* changed(
  point: readonly number[],
  radices: readonly number[],
  from: number,
  changes: number,
): Generator<readonly number[]> {
  if (changes === 0) {
    yield point;
    return;
  }
  for (let d = from; d <= radices.length - changes; d += 1) {
    for (let value = 0; value < radices[d]!; value += 1)
      if (value !== point[d]) yield* changed(point.with(d, value), radices, d + 1, changes - 1);
  }
}

/**
 * Points of a domain for a look at part of it: those near the base first, then others spread over it, `limit` in all;
 * every point exactly once when `limit` covers the domain. Deterministic.
 */
export function* pointsOf(domain: Pick<Domain, 'dimensions' | 'size'>, limit: number): Generator<readonly number[]> {
  if (domain.size <= 0) return;
  const seen = new Set<number>();
  const base = domain.dimensions.map((d) => d.base ?? 0);
  const radices = domain.dimensions.map((d) => d.choices.length);
  let given = 0;
  for (const digits of nearBase(base, radices, 2)) {
    if (given >= Math.min(limit, NEAR_POINTS)) break;
    given += 1;
    seen.add(indexOf(digits, radices));
    yield digits;
  }
  if (!Number.isSafeInteger(domain.size)) {
    for (; given < limit; given += 1) yield* spreadPoints(domain, 1, given);
    return;
  }
  for (const index of spreadIndices(domain.size)) {
    if (given >= limit) return;
    if (seen.has(index)) continue;
    given += 1;
    yield digitsOf(domain, index);
  }
}

const NEAR_POINTS = 5000;

/** `count` points spread over the domain; seeded random ones where points can't be numbered (more than 2^53 of them). */
export function* spreadPoints(
  domain: Pick<Domain, 'dimensions' | 'size'>,
  count: number,
  seed = 1,
): Generator<readonly number[]> {
  if (Number.isSafeInteger(domain.size)) {
    for (const index of spreadIndices(domain.size, count)) yield digitsOf(domain, index);
    return;
  }
  const rng = createRng(seed);
  for (let given = 0; given < count; given += 1) yield domain.dimensions.map((d) => rng.int(d.choices.length));
}

function indexOf(digits: readonly number[], radices: readonly number[]): number {
  let index = 0;
  for (const [d, digit] of digits.entries()) index = index * radices[d]! + digit;
  return index;
}

/** The next `count` items of a generator. */
export function take<T>(source: Iterator<T>, count: number): T[] {
  const items: T[] = [];
  while (items.length < count) {
    const { done, value } = source.next();
    if (done === true) break;
    items.push(value);
  }
  return items;
}

/**
 * `count` point numbers spread over 0..size-1 without repetition, in an order that visits far-apart points first
 * (stride by a number coprime to the size): what a partial look at a domain starts with.
 */
export function* spreadIndices(size: number, count: number = size): Generator<number> {
  if (size <= 0) return;
  let stride = Math.max(1, Math.floor(size * 0.618_033_988_75));
  while (gcd(stride, size) !== 1) stride += 1;
  let index = 0;
  for (let i = 0; i < Math.min(count, size); i += 1) {
    yield index;
    index = (index + stride) % size;
  }
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
