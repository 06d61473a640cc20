import { describe, expect, it } from 'vitest';
import { firstSentence } from '../../src/core/gate.ts';
import { nestingOf } from '../../src/core/json.ts';
import { canonicalDuration } from '../../src/kubernetes/quantity.ts';
import { readCorpus } from '../../src/policy/corpus.ts';
import { html, markdown, oneLine, withoutCommands } from '../../src/report/escape.ts';
import { parseSamples } from '../../src/slo/samples.ts';
import { defaultPrometheusName } from '../../src/telemetry/prometheus-names.ts';
import { unitProblem } from '../../src/telemetry/ucum.ts';

// Texts of a megabyte that a regular expression which backtracks takes hours for. That these end is the test.
const N = 1_000_000;
const many = (text: string): string => text.repeat(N / text.length);

describe('text from a pull request is looked at in linear time', () => {
  it.each<[string, () => unknown]>([
    ['a unit of braces', () => defaultPrometheusName({ name: 'm', instrument: 'counter', unit: many('{') })],
    ['a unit of digits', () => unitProblem(many('1'))],
    ['a duration of digits', () => canonicalDuration(many('1'))],
    ['a corpus that begins with a bracket and blanks', () => readCorpus(Buffer.from(`[${many(' ')}`), 'c', 'p/decision')],
    ['a message of full stops', () => firstSentence(many('. '))],
    ['a message of one full stop and blanks', () => firstSentence(`a.${many(' ')}`)],
    ['blanks in a log line', () => withoutCommands(`${many(' ')}x`)],
    ['carriage returns in a log line', () => withoutCommands(oneLine(many('\r')))],
    ['backticks in Markdown', () => markdown(many('`'))],
    ['brackets in Markdown', () => markdown(many('[]('))],
    ['tags in HTML', () => html(many('<style'))],
    ['brackets in JSON', () => nestingOf(many('['))],
  ])('%s', (_name, look) => {
    expect(() => look()).not.toThrow(RangeError);
  });

  it('a sample line of exemplars is refused', () => {
    expect(() => parseSamples([{ file: 's', text: `x${many(' # {')}` }])).toThrow(/s:1/);
  });
});
