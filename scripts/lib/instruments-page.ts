/** The reference of the runtime's metrics, as Markdown made from its table of instruments. */
import type { Instrument } from '../../reference-runtime/src/telemetry/instruments.ts';

/** Histograms with the same bounds share a line. */
function bounds(instruments: readonly Instrument[]): string[] {
  const by = new Map<string, string[]>();
  for (const { name, buckets } of instruments) {
    if (buckets === undefined) continue;
    const key = buckets.join(', ');
    by.set(key, [...(by.get(key) ?? []), `\`${name}\``]);
  }
  return [...by].map(([key, names]) => `- ${names.join(', ')}: ${key}`);
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** `instruments` in the order of the page. */
export function instrumentsPage(instruments: readonly Instrument[]): string {
  return [
    "# The runtime's instruments",
    '',
    '<!-- Written by scripts/docs.ts from reference-runtime/src/telemetry/instruments.ts: edit the table there, then run `node scripts/docs.ts`. -->',
    '',
    'Each is on `/metrics` under its Prometheus name and goes out over OTLP under its own ([telemetry.md](telemetry.md)). The labels of a',
    'Prometheus series are the attributes with `_` for `.`. Counters and histograms are cumulative since the start of the process.',
    '',
    '| instrument | kind | unit | attributes | Prometheus | what it says |',
    '| --- | --- | --- | --- | --- | --- |',
    ...instruments.map(({ name, kind, unit, attributes, prometheus, help }) => {
      const keys = Object.keys(attributes).map((key) => `\`${key}\``);
      return `| \`${name}\` | ${kind} | \`${unit}\` | ${keys.join(', ')} | \`${prometheus}\` | ${cell(help)} |`;
    }),
    '',
    '## Buckets',
    '',
    'Upper bounds of the histograms. Those of `gen_ai.*` are the ones that OpenTelemetry recommends (semantic conventions 1.41.1); a',
    'threshold of an SLO is measurable where it is a bound.',
    '',
    ...bounds(instruments),
    '',
  ].join('\n');
}
