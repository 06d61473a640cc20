import { problemsOf } from '../config/schema.ts';
import { ConfigurationError, type Problem } from '../core/errors.ts';
import type { SloSamplesDocument } from '../generated/schemas.ts';
import { parsePromql } from './promql.ts';
import { buildStore, type Labels, type Sample, type SeriesStore } from './series.ts';

/** Larger sample files are refused: 30 days of a few series at one minute are about 10 MB. */
export const MAX_SAMPLES_BYTES = 128 * 1024 * 1024;
const MAX_PROBLEMS = 20;

export interface SamplesFile {
  readonly file: string;
  readonly text: string;
}

/**
 * Recorded samples in one of three forms, told apart by their first line:
 * - NDJSON: a sample a line, schemas/slo-samples.schema.json: {"time": 1767225600 | "2026-01-01T00:00:00Z", "metric": "name", "labels": {...}, "value": 1}
 * - CSV with the header `time,series,value`; series as PromQL writes it, quoted when it holds a comma
 * - Prometheus text: `name{label="v"} value time_ms` (exposition format 0.0.4), or OpenMetrics (ends in `# EOF`, times in seconds);
 *   samples without a time take the one of the last `# scrape <unix seconds>` line above them, so snapshots of /metrics can be appended.
 * @throws ConfigurationError with every bad line, at most 20
 */
export function parseSamples(files: readonly SamplesFile[]): SeriesStore {
  const problems: Problem[] = [];
  const samples: Sample[] = [];
  for (const { file, text } of files) {
    const report = (line: number, message: string, expected: string): void => {
      if (problems.length < MAX_PROBLEMS) problems.push({ message, location: { file, line }, expected });
    };
    const before = samples.length;
    const first = text.trimStart().slice(0, 200);
    if (first.startsWith('{')) readNdjson(text, samples, report);
    else if (/^time,series,value\s*(?:\r?\n|$)/i.test(first)) readCsv(text, samples, report);
    else readExposition(text, samples, report);
    if (samples.length === before && problems.length === 0) {
      problems.push({
        message: 'the file holds no samples.',
        location: { file, line: 1 },
        expected: 'NDJSON, CSV with the header time,series,value, or Prometheus text with times',
      });
    }
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  return buildStore(samples);
}

type Report = (line: number, message: string, expected: string) => void;

const NDJSON_FORM = '{"time": unix seconds or RFC 3339, "metric": name, "labels": {...}, "value": number}';

function readNdjson(text: string, into: Sample[], report: Report): void {
  let line = 0;
  for (const row of text.split('\n')) {
    line += 1;
    if (row.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(row);
    } catch {
      report(line, 'the line is not JSON.', NDJSON_FORM);
      continue;
    }
    // The schema check is the slow, exact one; it only runs for lines that aren't plainly right.
    if (!plain(value)) {
      const [problem] = problemsOf('slo-samples', { value: value as never, locate: () => ({ file: '' }) });
      report(line, problem?.message ?? 'not a sample.', problem?.expected ?? NDJSON_FORM);
      continue;
    }
    const time = typeof value.time === 'number' ? value.time * 1000 : Date.parse(value.time);
    if (!Number.isFinite(time)) report(line, `time is ${JSON.stringify(value.time)}.`, 'unix seconds or RFC 3339');
    else
      into.push({
        name: value.metric,
        labels: (value.labels ?? {}) as Labels,
        time,
        value: typeof value.value === 'number' ? value.value : Number(value.value),
      });
  }
}

function plain(value: unknown): value is SloSamplesDocument {
  if (typeof value !== 'object' || value === null) return false;
  const { time, metric, labels, value: number, ...rest } = value as Record<string, unknown>;
  return (
    Object.keys(rest).length === 0 &&
    (typeof time === 'number' || typeof time === 'string') &&
    typeof metric === 'string' &&
    NAME.test(metric) &&
    (typeof number === 'number' || number === 'NaN' || number === 'Infinity' || number === '-Infinity') &&
    (labels === undefined ||
      (typeof labels === 'object' &&
        labels !== null &&
        Object.entries(labels).every(([key, item]) => LABEL.test(key) && typeof item === 'string')))
  );
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

const seriesCache = new Map<string, { name: string; labels: Labels } | undefined>();

function parseSeries(text: string): { name: string; labels: Labels } | undefined {
  if (seriesCache.has(text)) return seriesCache.get(text);
  const parsed = parsePromql(text);
  const expr = parsed.ok ? parsed.expr : undefined;
  const good = expr?.kind === 'selector' && expr.name !== '' && expr.matchers.every((m) => m.op === '=');
  const found = good ? { name: expr.name, labels: Object.fromEntries(expr.matchers.map((m) => [m.label, m.value])) } : undefined;
  if (seriesCache.size > 50_000) seriesCache.clear();
  seriesCache.set(text, found);
  return found;
}

function numberOf(text: string): number | undefined {
  if (/^[+-]?inf(?:inity)?$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  if (/^nan$/i.test(text)) return Number.NaN;
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : undefined;
}

function readCsv(text: string, into: Sample[], report: Report): void {
  let line = 0;
  for (const row of text.split(/\r?\n/)) {
    line += 1;
    if (line === 1 || row.trim() === '') continue;
    const match = /^(?<time>[^,]+),(?:"(?<quoted>(?:[^"]|"")*)"|(?<bare>[^,"]*)),(?<value>[^,]+)$/.exec(row);
    const series =
      match === null ? undefined : parseSeries((match.groups!['quoted']?.replaceAll('""', '"') ?? match.groups!['bare'])!);
    const time =
      match === null
        ? Number.NaN
        : /^\d+(?:\.\d+)?$/.test(match.groups!['time']!)
          ? Number(match.groups!['time']) * 1000
          : Date.parse(match.groups!['time']!);
    const value = match === null ? undefined : numberOf(match.groups!['value']!.trim());
    if (series === undefined || !Number.isFinite(time) || value === undefined)
      report(line, 'the row is not a sample.', 'time,series,value, e.g. 1767225600,"up{job=""a"",instance=""b""}",1');
    else into.push({ ...series, time, value });
  }
}

function readExposition(text: string, into: Sample[], report: Report): void {
  const scale = /^# EOF\s*$/m.test(text) ? 1000 : 1;
  let line = 0;
  let scrape: number | undefined;
  for (const row of text.split('\n')) {
    line += 1;
    const trimmed = row.trim();
    if (trimmed === '') continue;
    if (trimmed.startsWith('#')) {
      const at = /^# scrape (?<time>\S+)$/.exec(trimmed)?.groups?.['time'];
      if (at === undefined) continue;
      scrape = Number(at) * 1000;
      if (!Number.isFinite(scrape)) {
        scrape = undefined;
        report(line, `the scrape time is ${JSON.stringify(at)}.`, '# scrape <unix seconds>');
      }
      continue;
    }
    // An OpenMetrics exemplar (` # {...}`) ends the sample.
    const match = /^(?<series>[a-zA-Z_:][a-zA-Z0-9_:]*(?:\{.*\})?)\s+(?<value>\S+)(?:\s+(?<time>-?[\d.]+))?$/.exec(
      withoutExemplar(trimmed),
    );
    const series = match === null ? undefined : parseSeries(match.groups!['series']!);
    const value = match === null ? undefined : numberOf(match.groups!['value']!);
    if (match === null || series === undefined || value === undefined) {
      report(
        line,
        `not a sample in Prometheus text format: ${JSON.stringify(trimmed.slice(0, 80))}.`,
        'name{label="value"} 1 1767225600000',
      );
      continue;
    }
    const time = match.groups!['time'] === undefined ? scrape : Number(match.groups!['time']) * scale;
    if (time === undefined)
      report(line, 'the sample has no time.', 'a time after the value, or a line `# scrape <unix seconds>` above');
    else into.push({ ...series, time, value });
  }
}

function withoutExemplar(line: string): string {
  const at = line.indexOf(' # {');
  return at < 0 ? line : line.slice(0, at);
}
