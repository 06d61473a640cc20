/**
 * OpenTelemetry metric names as Prometheus shows them. Source: OpenTelemetry specification, "Prometheus and OpenMetrics
 * Compatibility", and Prometheus' `otlp.translation_strategy`. Pure; depends on nothing else here.
 */

/** Values of Prometheus' `otlp.translation_strategy`. */
export const TRANSLATION_STRATEGIES = [
  'UnderscoreEscapingWithSuffixes',
  'UnderscoreEscapingWithoutSuffixes',
  'NoUTF8EscapingWithSuffixes',
  'NoTranslation',
] as const;
export type TranslationStrategy = (typeof TRANSLATION_STRATEGIES)[number];

/** What the translation needs to know of a metric. */
export interface TranslatedMetric {
  readonly name: string;
  /** UCUM, e.g. `s`, `By`, `{request}`, `1`. */
  readonly unit: string;
  readonly instrument: 'counter' | 'updowncounter' | 'histogram' | 'gauge';
}

export interface PrometheusName {
  /** The family's name: what `_bucket`, `_sum` and `_count` are appended to for a histogram. */
  readonly base: string;
  /** Every series name that a query may use: the base itself and, for a histogram, its three (classic) series. */
  readonly series: readonly string[];
}

const UNIT_WORDS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    d: 'days',
    h: 'hours',
    min: 'minutes',
    s: 'seconds',
    ms: 'milliseconds',
    us: 'microseconds',
    ns: 'nanoseconds',
    By: 'bytes',
    KiBy: 'kibibytes',
    MiBy: 'mebibytes',
    GiBy: 'gibibytes',
    TiBy: 'tibibytes',
    kBy: 'kilobytes',
    KBy: 'kilobytes',
    MBy: 'megabytes',
    GBy: 'gigabytes',
    TBy: 'terabytes',
    m: 'meters',
    V: 'volts',
    A: 'amperes',
    J: 'joules',
    W: 'watts',
    g: 'grams',
    Cel: 'celsius',
    Hz: 'hertz',
    '%': 'percent',
    $: 'dollars',
  }),
);

const PER_WORDS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    s: 'second',
    m: 'minute',
    min: 'minute',
    h: 'hour',
    d: 'day',
    w: 'week',
    mo: 'month',
    y: 'year',
  }),
);

/**
 * Every name that Prometheus may give a metric, one entry a strategy and naming variant: gauges of unit `1` get `_ratio` from
 * translators older than opentelemetry-specification#4966, so both forms are listed. Order is stable: default strategy first.
 */
export function prometheusNames(
  metric: TranslatedMetric,
  strategies: readonly TranslationStrategy[] = TRANSLATION_STRATEGIES,
): readonly PrometheusName[] {
  const names: PrometheusName[] = [];
  const seen = new Set<string>();
  for (const strategy of strategies) {
    for (const base of basesFor(metric, strategy)) {
      if (seen.has(`${strategy} ${base}`)) continue;
      seen.add(`${strategy} ${base}`);
      names.push({ base, series: seriesOf(base, metric.instrument) });
    }
  }
  return names;
}

/** The name that the default strategy gives, e.g. `gen_ai_server_time_to_first_token_seconds`. */
export function defaultPrometheusName(metric: TranslatedMetric): string {
  return prometheusNames(metric, ['UnderscoreEscapingWithSuffixes'])[0]!.base;
}

/** An attribute name as a label: bad characters become `_`, a leading digit gets `key_` in front. */
export function prometheusLabel(attribute: string): string {
  const label = attribute.replace(/[^A-Za-z0-9_]/g, '_');
  return /^[0-9]/.test(label) ? `key_${label}` : label;
}

/** The family that a series belongs to: `x_bucket`, `x_sum`, `x_count` → `x`; anything else as it is. */
export function familyOf(series: string): string {
  return series.replace(/_(?:bucket|sum|count)$/, '');
}

function seriesOf(base: string, instrument: TranslatedMetric['instrument']): readonly string[] {
  return instrument === 'histogram' ? [`${base}_bucket`, `${base}_sum`, `${base}_count`, base] : [base];
}

function basesFor(metric: TranslatedMetric, strategy: TranslationStrategy): readonly string[] {
  switch (strategy) {
    case 'UnderscoreEscapingWithSuffixes':
      return suffixed(metric, escapeTokens(metric.name)).map(leadingDigit);
    case 'UnderscoreEscapingWithoutSuffixes':
      return [leadingDigit(escapeTokens(metric.name))];
    case 'NoUTF8EscapingWithSuffixes':
      return suffixed(metric, metric.name);
    case 'NoTranslation':
      return [metric.name];
  }
}

/** Runs of characters that a classic name can't hold collapse into one `_`. */
function escapeTokens(name: string): string {
  return name
    .split(/[^A-Za-z0-9:]+/)
    .filter((token) => token !== '')
    .join('_');
}

function leadingDigit(name: string): string {
  return /^[0-9]/.test(name) ? `_${name}` : name;
}

function suffixed(metric: TranslatedMetric, name: string): readonly string[] {
  const total = metric.instrument === 'counter';
  const stem = total ? name.replace(/[_.]total$/, '') : name;
  const unit = unitWords(metric.unit);
  const withUnit = unit === '' || endsWithWord(stem, unit) ? stem : `${stem}_${unit}`;
  const variants = [withUnit];
  if (metric.unit === '1' && metric.instrument === 'gauge' && !endsWithWord(stem, 'ratio')) variants.push(`${stem}_ratio`);
  return variants.map((variant) => (total ? `${variant}_total` : variant));
}

function endsWithWord(name: string, word: string): boolean {
  return name === word || name.endsWith(`_${word}`) || name.endsWith(`.${word}`);
}

/** OpenTelemetry's limit is 63 characters, and longer ones are findings of their own. */
const MAX_UNIT = 256;

/** `s` → `seconds`, `By/s` → `bytes_per_second`, `{token}` and `1` → nothing, unknown units as they are, escaped. */
function unitWords(unit: string): string {
  const plain = unit
    .slice(0, MAX_UNIT)
    .replace(/\{[^}]*\}/g, '')
    .trim();
  if (plain === '' || plain === '1') return '';
  const slash = plain.indexOf('/');
  if (slash < 0) return escapeTokens(UNIT_WORDS.get(plain) ?? plain);
  const over = plain.slice(0, slash);
  const per = plain.slice(slash + 1);
  const head = over === '' || over === '1' ? '' : escapeTokens(UNIT_WORDS.get(over) ?? over);
  const tail = per === '' ? '' : `per_${escapeTokens(PER_WORDS.get(per) ?? per)}`;
  return [head, tail].filter((part) => part !== '').join('_');
}
