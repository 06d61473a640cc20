import { createRng } from '../stats/rng.ts';
import { type Domain, digitsOf } from './domain.ts';

/**
 * Points for a domain that is too large to enumerate: first every point that differs from the base in at most two
 * dimensions (so that each pair of values is seen at least once), then seeded random points, `limit` in all. Lazy, so
 * that memory stays flat. Repetitions among the random points are possible. Deterministic in (domain, limit, seed).
 */
export function* samplePoints(domain: Pick<Domain, 'dimensions'>, limit: number, seed: number): Generator<readonly number[]> {
  const base = domain.dimensions.map((d) => d.base ?? 0);
  const radices = domain.dimensions.map((d) => d.choices.length);
  let given = 0;
  for (const point of nearBase(base, radices)) {
    if (given >= limit) return;
    given += 1;
    yield point;
  }
  const rng = createRng(seed);
  for (; given < limit; given += 1) yield radices.map((radix) => rng.int(radix));
}

function* nearBase(base: readonly number[], radices: readonly number[]): Generator<readonly number[]> {
  yield base;
  for (const [a, radix] of radices.entries()) {
    for (let x = 0; x < radix; x += 1) if (x !== base[a]) yield base.with(a, x);
  }
  for (let a = 0; a < radices.length; a += 1) {
    for (let b = a + 1; b < radices.length; b += 1) {
      for (let x = 0; x < radices[a]!; x += 1) {
        if (x === base[a]) continue;
        for (let y = 0; y < radices[b]!; y += 1) if (y !== base[b]) yield base.with(a, x).with(b, y);
      }
    }
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
  for (const digits of nearBase(base, radices)) {
    if (seen.size >= Math.min(limit, NEAR_POINTS)) break;
    seen.add(indexOf(digits, radices));
    yield digits;
  }
  let given = seen.size;
  for (const index of spreadIndices(domain.size)) {
    if (given >= limit) return;
    if (seen.has(index)) continue;
    given += 1;
    yield digitsOf(domain, index);
  }
}

const NEAR_POINTS = 5000;

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
