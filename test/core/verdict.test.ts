import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exitCode, VERDICTS, type Verdict, worstVerdict } from '../../src/core/verdict.ts';

describe('worstVerdict', () => {
  it.each<[readonly Verdict[], Verdict]>([
    [['pass', 'pass'], 'pass'],
    [['pass', 'warn'], 'warn'],
    [['warn', 'inconclusive'], 'inconclusive'],
    [['inconclusive', 'fail'], 'fail'],
    [['fail', 'error'], 'error'],
    [[], 'inconclusive'],
  ])('%j → %s', (verdicts, expected) => {
    expect(worstVerdict(verdicts)).toBe(expected);
  });

  it('does not depend on order, and adding a verdict never improves it', () => {
    const verdict = fc.constantFrom(...VERDICTS);
    fc.assert(
      fc.property(fc.array(verdict, { minLength: 1 }), verdict, (list, more) => {
        expect(worstVerdict([...list].reverse())).toBe(worstVerdict(list));
        expect(VERDICTS.indexOf(worstVerdict([...list, more]))).toBeGreaterThanOrEqual(VERDICTS.indexOf(worstVerdict(list)));
      }),
    );
  });
});

describe('exitCode', () => {
  it.each([
    ['pass', {}, 0],
    ['warn', {}, 0],
    ['fail', {}, 1],
    ['error', {}, 3],
    ['inconclusive', {}, 4],
    ['error', { onError: 'warn' }, 0],
    ['inconclusive', { onInconclusive: 'warn' }, 0],
    ['fail', { onError: 'warn', onInconclusive: 'warn' }, 1],
    ['fail', { mode: 'warn' }, 0],
  ] as const)('%s with %j → %i', (verdict, policy, expected) => {
    expect(exitCode(verdict, policy)).toBe(expected);
  });
});
