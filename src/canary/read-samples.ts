import { ConfigurationError, type Problem } from '../core/errors.ts';
import { readRangeFile } from './prometheus-samples.ts';
import { sampleLines } from './sample-lines.ts';
import { type CsvColumns, csvColumns, type K6MetricType, parseCsvLine, parseK6Line, type SampleRow } from './sample-rows.ts';
import { MAX_SAMPLES, MAX_SERIES, type SampleSet, type Series } from './sample-set.ts';

/**
 * Reads samples: NDJSON of `k6 run --out json` (tags `arm`, `segment`; pair id in metadata `pair`) or CSV with the header
 * `metric,value[,arm][,segment][,time][,pair]` (also `k6 run --out csv`) or with a column for each metric, plain or gzipped. Streaming; throws ConfigurationError with
 * file and line for up to ten bad lines. A last line that is cut short marks the set as truncated instead.
 */
export async function readSamples(file: string): Promise<SampleSet> {
  const end = { midStream: false, noNewline: false };
  const problems: Problem[] = [];
  const series = new Map<string, Series>();
  const types = new Map<string, K6MetricType>();
  let columns: CsvColumns | undefined;
  let json: boolean | undefined;
  let dropped = 0;
  let points = 0;
  let lineNumber = 0;
  let canaryRun = false;

  function add(row: SampleRow): void {
    if (row.metric === 'dropped_iterations') dropped += row.value;
    if (++points > MAX_SAMPLES)
      throw new ConfigurationError({
        message: `${file} holds more than ${MAX_SAMPLES} samples.`,
        fix: 'judge a shorter window.',
      });
    const key = JSON.stringify([row.metric, row.segment, row.arm]);
    let own = series.get(key);
    if (own === undefined) {
      if (series.size >= MAX_SERIES)
        throw new ConfigurationError({
          message: `${file} holds more than ${MAX_SERIES} series (metric x segment x arm).`,
          fix: 'drop tags with many values.',
        });
      own = {
        metric: row.metric,
        ...(row.segment === undefined ? {} : { segment: row.segment }),
        ...(row.arm === undefined ? {} : { arm: row.arm }),
        values: [],
        times: [],
        pairs: [],
      };
      series.set(key, own);
    }
    own.values.push(row.value);
    own.times.push(row.time);
    own.pairs.push(row.pair);
  }

  // A bad line is only known to be the file's cut-off end once no other follows it.
  let pending: Problem | undefined;
  for await (const line of sampleLines(file, end)) {
    lineNumber++;
    if (pending !== undefined) problems.push(pending);
    pending = undefined;
    if (problems.length >= 10) break;
    if (line.trim() === '') continue;
    json ??= line.trimStart().startsWith('{');
    if (lineNumber === 1 && json && isRangeAnswer(line)) return readRangeFile(file);
    if (json) {
      try {
        const parsed = parseK6Line(line);
        if (parsed.kind === 'metric') types.set(parsed.name, parsed.type);
        else if (parsed.kind === 'point') {
          canaryRun ||= parsed.canaryRun;
          add(parsed.row);
        }
      } catch (cause) {
        if (cause instanceof ConfigurationError) throw cause;
        pending = {
          message: 'not a JSON line',
          location: { file, line: lineNumber },
          expected: 'one JSON object a line, as k6 --out json writes them',
        };
      }
    } else if (columns === undefined) {
      const header = csvColumns(line);
      if (typeof header === 'string') throw new ConfigurationError({ message: header, location: { file, line: lineNumber } });
      columns = header;
    } else {
      const rows = parseCsvLine(line, columns);
      if (typeof rows === 'string') pending = { message: rows, location: { file, line: lineNumber } };
      else rows.forEach(add);
    }
  }
  // A record that does not parse at the very end of the file was cut off; a whole last row without a newline is fine.
  const cut = end.midStream || (pending !== undefined && end.noNewline);
  if (pending !== undefined && !cut) problems.push(pending);
  if (problems.length > 0) throw new ConfigurationError(problems);
  if (points === 0)
    throw new ConfigurationError({ message: `${file} holds no samples.`, expected: 'k6 NDJSON points or CSV rows' });
  return {
    file,
    series: [...series.values()],
    types,
    droppedIterations: dropped,
    truncated: cut,
    ...(canaryRun ? { canaryRun } : {}),
  };
}

/** The answer of a Prometheus API begins with its status (encoding order of the API; files that people reformat keep it). */
function isRangeAnswer(line: string): boolean {
  return /^\s*\{\s*("status"\s*:|$)/.test(line);
}
