// Words of a pull request that every JavaScript object has as members: they mean nothing here.
import { expect, it } from 'vitest';
import { parseArgv } from '../../src/kubernetes/argv.ts';
import { canonicalForm, keysOf } from '../../src/kubernetes/lists.ts';
import { prometheusNames } from '../../src/telemetry/prometheus-names.ts';
import { baseUnit, unitProblem } from '../../src/telemetry/ucum.ts';

const INHERITED = Object.getOwnPropertyNames(Object.prototype);

it.each(INHERITED)('%s is a word like any other', (word) => {
  expect(unitProblem(word)).toMatch(/is not a UCUM unit/);
  expect(baseUnit(word)).toBeUndefined();
  for (const unit of [word, `${word}/s`, `By/${word}`])
    expect(prometheusNames({ name: 'app.x', instrument: 'counter', unit }).length).toBeGreaterThan(0);
  // A list under that name is an ordered one.
  expect(keysOf('Widget', ['spec', word], [2, 1])).toBeUndefined();
  expect(canonicalForm('Widget', { spec: { [word]: [2, 1] } })).toEqual({ spec: { [word]: [2, 1] } });
});

it('a flag of that name is itself', () =>
  expect(parseArgv(['--constructor', 'x', '--tp', '2'])).toEqual({ constructor: 'x', 'tensor-parallel-size': '2' }));
