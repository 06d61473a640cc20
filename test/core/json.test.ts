import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, digestJson } from '../../src/core/json.ts';

describe('canonicalJson', () => {
  // RFC 8785 section 3.2.3, the sorting example, and appendix B number forms.
  it('sorts keys by UTF-16 code units', () => {
    const value = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    };
    expect([...canonicalJson(value).matchAll(/:"(?<name>[^"]+)"/g)].map((m) => m.groups!['name'])).toEqual([
      'Carriage Return',
      'One',
      'Control',
      'Latin Small Letter O With Diaeresis',
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ]);
  });
  it.each([
    [0, '0'],
    [-0, '0'],
    [1e21, '1e+21'],
    [Number('333333333.33333329'), '333333333.3333333'],
    [1e-27, '1e-27'],
  ])('writes %d as %s', (value, expected) => {
    expect(canonicalJson(value)).toBe(expected);
  });
  it('parses back to the same value, whatever the order of keys', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
    expect(digestJson({ a: 1, b: [2] })).toBe(digestJson({ b: [2], a: 1 }));
  });
  it.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %d', (value) => {
    expect(() => canonicalJson({ value })).toThrow(TypeError);
  });
});
