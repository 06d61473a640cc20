import type { SampleSet } from '../../canary/sample-set.ts';
import type { MetricSetting } from '../../canary/samples.ts';
import { ConfigurationError } from '../../core/errors.ts';
import type { CommandOutcome, Invocation } from '../framework.ts';
import { judgeSets } from './judge-samples.ts';

/** Both arms from a live Prometheus: closed by default, an arm without series is missing data. */
export async function judgeLive(invocation: Invocation, url: string): Promise<CommandOutcome> {
  const { queryRange } = await import('../../canary/prometheus-samples.ts');
  const { parsePromDuration } = await import('../../prometheus/duration.ts');
  const { options } = invocation;
  const need = (flag: string): string => {
    const value = options.string(flag);
    if (value === undefined)
      throw new ConfigurationError({ message: `--${flag} is missing.`, expected: 'a PromQL query for each arm' });
    return value;
  };
  const queries = [need('baseline-query'), need('candidate-query')] as const;
  const time = (flag: string, fallback: number): number => {
    const text = options.string(flag);
    const at = text === undefined ? fallback : Date.parse(text);
    if (Number.isNaN(at))
      throw new ConfigurationError({
        message: `--${flag} is ${JSON.stringify(text)}.`,
        expected: 'an instant such as 2026-01-31T12:00:00Z',
      });
    return at;
  };
  if ((options.number('looks') ?? 1) > 1 && options.string('start') === undefined)
    throw new ConfigurationError({
      message: '--looks needs --start.',
      expected: 'looks at data that grows from one start',
      fix: 'give every look the same --start; without one the window moves along.',
    });
  const end = time('end', Date.parse(invocation.now));
  const start = time('start', end - 30 * 60_000);
  const step = parsePromDuration(options.string('step') ?? '15s');
  if (step === undefined || !(step > 0))
    throw new ConfigurationError({
      message: `--step is ${JSON.stringify(options.string('step'))}.`,
      expected: 'a duration such as 15s',
    });
  const metric = options.string('metric') ?? 'value';
  const token = invocation.env['MIXGATE_PROMETHEUS_TOKEN'];
  const ask = (query: string): Promise<SampleSet> =>
    queryRange(
      url,
      { query, start, end, step, metric },
      {
        signal: invocation.signal,
        warn: (message) => invocation.progress.warn(message),
        ...(token === undefined ? {} : { token }),
      },
    );
  const [kind, direction] = [options.string('kind'), options.string('direction')];
  return judgeSets(invocation, await ask(queries[0]), await ask(queries[1]), undefined, {
    name: metric,
    ...(kind === undefined ? {} : { kind: kind as NonNullable<MetricSetting['kind']> }),
    ...(direction === undefined ? {} : { direction: direction as NonNullable<MetricSetting['direction']> }),
  });
}
