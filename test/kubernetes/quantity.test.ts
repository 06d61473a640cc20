import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalDuration, canonicalQuantity, parseQuantity } from '../../src/kubernetes/quantity.ts';

describe('canonicalQuantity: equal amounts get one text', () => {
  it.each([
    [['1', 1, '1000m', '1e0', '+1'], '1'],
    [['100m', '0.1', 0.1, '.1'], '100m'],
    [['3Gi', '3072Mi', '3145728Ki', '3221225472'], '3Gi'],
    [['1000M', '1G', '1e9', '1E9'], '1G'],
    [['12000m', '12'], '12'],
    [['0', '0Gi', '0m'], '0'],
    [['-1500m', '-1.5'], '-1500m'],
    [['1.5Gi', '1536Mi'], '1536Mi'],
  ])('%j → %s', (ways, canonical) => {
    expect(ways.map((way) => canonicalQuantity(way))).toEqual(ways.map(() => canonical));
  });

  it('tells 1G from 1Gi', () => {
    expect(canonicalQuantity('1G')).not.toBe(canonicalQuantity('1Gi'));
  });

  it.each(['', 'x', '1Zi', '1 Gi', '--1', 'Gi', '1e999', '9'.repeat(400)])('leaves %j as it is', (text) => {
    expect(canonicalQuantity(text)).toBe(text);
  });

  it('keeps the exact amount, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 10n ** 15n }),
        fc.constantFrom('', 'm', 'k', 'M', 'Ki', 'Mi', 'Gi', 'u', 'n'),
        (n, suffix) => {
          const text = `${n}${suffix}`;
          expect(parseQuantity(canonicalQuantity(text))).toBe(parseQuantity(text));
          expect(canonicalQuantity(canonicalQuantity(text))).toBe(canonicalQuantity(text));
        },
      ),
    );
  });
});

describe('canonicalDuration (GEP-2257)', () => {
  it.each([
    ['1m', '60000ms'],
    ['60s', '60000ms'],
    ['1h30m', '5400000ms'],
    ['500ms', '500ms'],
    ['10', '10'],
    ['1.5s', '1.5s'],
  ])('%s → %s', (text, canonical) => {
    expect(canonicalDuration(text)).toBe(canonical);
  });
});
