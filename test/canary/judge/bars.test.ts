import { expect, test } from 'vitest';
import { barState, barText } from '../../../bench/judge/bars.ts';

const shares = { runs: 2000, fail: 0.05, inconclusive: 0 };

test('a false-alarm bar allows two Monte Carlo standard errors and no more', () => {
  expect(barState({ failAtMost: 0.05 }, { ...shares, fail: 0.0595 })).toBe('met');
  expect(barState({ failAtMost: 0.05 }, { ...shares, fail: 0.06 })).toBe('NOT MET');
});

test('power against a floor and against the classical test', () => {
  expect(barState({ failAtLeast: 0.95 }, { ...shares, fail: 0.949 })).toBe('NOT MET');
  expect(barState({ withinOfPeer: 0.03 }, { ...shares, fail: 0.5, peer: 0.529 })).toBe('met');
  expect(barState({ withinOfPeer: 0.03 }, { ...shares, fail: 0.5, peer: 0.531 })).toBe('NOT MET');
});

test('one missed part misses the bar; no bar says nothing', () => {
  const bar = { failAtMost: 0.05, inconclusiveAtMost: 0.1 };
  expect(barState(bar, { ...shares, inconclusive: 0.11 })).toBe('NOT MET');
  expect(barText(bar)).toBe('fail <= 5 %, inconclusive <= 10 %');
  expect(barState({}, shares)).toBe('');
});
