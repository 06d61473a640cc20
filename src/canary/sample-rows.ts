import { isObject } from '../core/json.ts';

/** One measured value, whatever file it came from. */
export interface SampleRow {
  readonly metric: string;
  readonly value: number;
  /** Milliseconds since the epoch (or the file's own unit); NaN when the file gives none. */
  readonly time: number;
  readonly arm?: string;
  readonly segment?: string;
  readonly pair?: string;
}

export type K6MetricType = 'trend' | 'rate' | 'counter' | 'gauge';

export type K6Line =
  | { readonly kind: 'metric'; readonly name: string; readonly type: K6MetricType }
  | { readonly kind: 'point'; readonly row: SampleRow /** Of a pair of a canary run. */; readonly canaryRun: boolean }
  | { readonly kind: 'other' };

/** Reads one line of `k6 run --out json`. Throws SyntaxError on text that is not JSON; lines of other shapes are `other`. */
export function parseK6Line(line: string): K6Line {
  const record: unknown = JSON.parse(line);
  if (!isObject(record) || typeof record['metric'] !== 'string' || !isObject(record['data'])) return { kind: 'other' };
  const { type, metric, data } = record as { type: unknown; metric: string; data: Record<string, unknown> };
  if (type === 'Metric') {
    const k6Type = data['type'];
    return k6Type === 'trend' || k6Type === 'rate' || k6Type === 'counter' || k6Type === 'gauge'
      ? { kind: 'metric', name: metric, type: k6Type }
      : { kind: 'other' };
  }
  if (type !== 'Point' || typeof data['value'] !== 'number') return { kind: 'other' };
  const tags = isObject(data['tags']) ? data['tags'] : {};
  const metadata = isObject(data['metadata']) ? data['metadata'] : {};
  return {
    kind: 'point',
    canaryRun: metric.startsWith('mixgate_') && tags['block'] === 'ab',
    row: row(
      metric,
      data['value'],
      typeof data['time'] === 'string' ? Date.parse(data['time']) : Number.NaN,
      text(tags['arm']),
      text(tags['segment']),
      text(metadata['pair'] ?? metadata['pair_id'] ?? tags['pair_id'] ?? tags['pair']),
    ),
  };
}

function row(metric: string, value: number, time: number, arm?: string, segment?: string, pair?: string): SampleRow {
  return {
    metric,
    value,
    time,
    ...(arm === undefined ? {} : { arm }),
    ...(segment === undefined ? {} : { segment }),
    ...(pair === undefined ? {} : { pair }),
  };
}

/** Column numbers of a CSV header; our names and those of `k6 run --out csv`. */
export interface CsvColumns {
  /** Where each value is, and where its metric's name is: a column (a sample a line), or the header (a column a metric). */
  readonly values: readonly { readonly column: number; readonly metric: number | string }[];
  readonly time: number;
  readonly arm: number;
  readonly segment: number;
  readonly pair: number;
  /** k6's `extra_tags`: `name=value&name=value`. */
  readonly extra: number;
  readonly names: readonly string[];
}

/** Columns from the header line, or a sentence saying what is wrong with it. */
export function csvColumns(header: string): CsvColumns | string {
  const fields = splitCsv(header.replace(/^\uFEFF/, '')).map((name) => name.trim());
  const names = fields.map((name) => name.toLowerCase());
  const find = (...options: string[]): number => names.findIndex((name) => options.includes(name));
  const [metric, value] = [find('metric', 'metric_name'), find('value', 'metric_value')];
  const columns = {
    time: find('time', 'timestamp'),
    arm: find('arm'),
    segment: find('segment'),
    pair: find('pair', 'pair_id'),
    extra: find('extra_tags'),
    names: fields,
  };
  if (metric >= 0 && value >= 0) return { ...columns, values: [{ column: value, metric }] };
  const { names: _, ...known } = columns;
  const others = fields.flatMap((name, column) => (Object.values(known).includes(column) ? [] : [{ column, metric: name }]));
  const named = (name: string): boolean => name !== '' && Number.isNaN(Number(name)) && !/[\p{Cc}\ufffd]/u.test(name);
  const unusable = !others.every(({ metric: name }) => named(name)) || new Set(fields).size < fields.length;
  if (metric < 0 && others.length > 0 && !unusable && !/[;\t]/.test(header)) return { ...columns, values: others };
  const separated = names.length === 1 && /[;\t]/.test(header) ? '; fields are separated by commas' : '';
  return `the header must name the columns metric and value, or each metric as a column of its own (and may name arm, segment, time, pair), got ${fields.slice(0, 12).join(',')}${separated}`;
}

/** Numbers as other programs write them that JavaScript does not read; none of them is a measured value. */
const NOT_FINITE = /^(nan|null|na|n\/a|[+-]?inf(inity)?)$/i;

/** The samples of one CSV line. A sentence when it does not fit the header. */
export function parseCsvLine(line: string, columns: CsvColumns): readonly SampleRow[] | string {
  const fields = splitCsv(line);
  if (fields.length !== columns.names.length) return `expected ${columns.names.length} fields, got ${fields.length}`;
  const at = (index: number): string | undefined => (index < 0 || fields[index] === '' ? undefined : fields[index]);
  const extra = new URLSearchParams(at(columns.extra) ?? '');
  const time = parseTime(at(columns.time));
  const rows: SampleRow[] = [];
  for (const { column, metric } of columns.values) {
    const raw = at(column);
    const value = raw === undefined ? Number.NaN : Number(raw);
    if (raw !== undefined && Number.isNaN(value) && !NOT_FINITE.test(raw.trim()))
      return `expected a number as ${columns.names[column]}, got ${JSON.stringify(raw.slice(0, 40))}`;
    const name = typeof metric === 'string' ? metric : at(metric);
    if (name === undefined) return 'the metric has no name';
    rows.push(
      row(
        name,
        value,
        time,
        at(columns.arm) ?? extra.get('arm') ?? undefined,
        at(columns.segment) ?? extra.get('segment') ?? undefined,
        at(columns.pair) ?? extra.get('pair_id') ?? extra.get('pair') ?? undefined,
      ),
    );
  }
  return rows;
}

function parseTime(value: string | undefined): number {
  if (value === undefined) return Number.NaN;
  const number = Number(value);
  return Number.isNaN(number) ? Date.parse(value) : number;
}

/** Splits one CSV line (RFC 4180 quotes; fields do not span lines). */
export function splitCsv(line: string): string[] {
  if (!line.includes('"')) return line.split(',');
  const fields: string[] = [];
  let field = '';
  let quoted = false;
  for (let i = 0; i < line.length; i++) {
    const c = line[i];
    if (quoted) {
      if (c === '"' && line[i + 1] === '"') {
        field += '"';
        i++;
      } else if (c === '"') quoted = false;
      else field += c;
    } else if (c === '"') quoted = true;
    else if (c === ',') {
      fields.push(field);
      field = '';
    } else field += c;
  }
  fields.push(field);
  return fields;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : typeof value === 'number' ? String(value) : undefined;
}
