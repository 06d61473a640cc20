import { ConfigurationError } from '../../core/errors.ts';
import { readNamedFiles, type TextFile } from '../../slo/files.ts';
import { prometheusSource } from '../../slo/prometheus.ts';
import { MAX_SAMPLES_BYTES, parseSamples } from '../../slo/samples.ts';
import { type MetricSource, samplesSource } from '../../slo/source.ts';
import type { Invocation } from '../framework.ts';

/** Where samples come from: flags before mixgate.yaml, recorded samples before a Prometheus that the file names. */
export async function sourceOf(
  invocation: Invocation,
  section: { readonly prometheus?: string; readonly samples?: string } | undefined,
): Promise<{ source: MetricSource; live: boolean; files: readonly TextFile[] }> {
  const { options } = invocation;
  const url = options.string('prometheus');
  const named = options.strings('samples');
  if (url !== undefined && named.length > 0)
    throw new ConfigurationError({ message: '--prometheus and --samples are both given.', fix: 'choose one source.' });
  const samples = named.length > 0 ? named : url === undefined && section?.samples !== undefined ? [section.samples] : [];
  if (samples.length > 0) {
    const files = await readNamedFiles(invocation.dir, samples, MAX_SAMPLES_BYTES);
    return { source: samplesSource(parseSamples(files), samples.join(', ')), live: false, files };
  }
  const target = url ?? section?.prometheus;
  if (target === undefined)
    throw new ConfigurationError({
      message: 'there is no source of samples.',
      fix: 'give --prometheus URL or --samples FILE, or set slo.prometheus in mixgate.yaml.',
    });
  const token = invocation.env['MIXGATE_PROMETHEUS_TOKEN'];
  return {
    source: prometheusSource(target, {
      signal: invocation.signal,
      token: token === '' ? undefined : token,
      warn: (message) => invocation.progress.warn(message),
    }),
    live: true,
    files: [],
  };
}
