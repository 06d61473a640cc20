import type { Measurement } from '../core/gate.ts';

/** At most four significant digits, groups of three, no exponent between 1e-4 and 1e15; the same in every locale. */
export function formatNumber(value: number): string {
  if (Number.isNaN(value)) return 'not a number';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '-∞';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e15) return value.toExponential(2).replace('e+', 'e');
  const text = Number.isInteger(value) ? String(value) : size >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
  const [whole, fraction] = text.split('.');
  const grouped = whole!.replace(/\B(?=(?:\d{3})+$)/g, '\u2009');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** A value with its UCUM unit as people write it: bytes get a binary prefix, annotations (`{request}`) lose their braces. */
export function formatQuantity(value: number, unit: string): string {
  if (!Number.isFinite(value)) return formatNumber(value);
  if (unit === 'By') {
    let [amount, step] = [value, 0];
    while (Math.abs(amount) >= 1024 && step < BINARY.length - 1) [amount, step] = [amount / 1024, step + 1];
    return `${formatNumber(amount)} ${BINARY[step]}`;
  }
  const shown = unitName(unit);
  return shown === '' ? formatNumber(value) : `${formatNumber(value)} ${shown}`;
}

export function unitName(unit: string): string {
  if (unit === '1') return '';
  return unit.replace(/\{(?<name>[^}]*)\}/g, '$<name>');
}

/** `[low, high]`. */
function formatInterval(interval: readonly [number, number], unit: string): string {
  const suffix = unitName(unit);
  if (unit === 'By') return `[${formatQuantity(interval[0], unit)}, ${formatQuantity(interval[1], unit)}]`;
  return `[${formatNumber(interval[0])}, ${formatNumber(interval[1])}]${suffix === '' ? '' : ` ${suffix}`}`;
}

/** The columns of a measurement table: only those that some row fills. */
export function measurementTable(measurements: readonly Measurement[]): { columns: string[]; rows: string[][] } {
  const columns: { name: string; cell: (m: Measurement) => string }[] = [
    { name: 'measurement', cell: (m) => m.name },
    { name: 'where', cell: (m) => [m.cluster, m.segment].filter((part) => part !== undefined).join(' / ') },
    { name: 'value', cell: (m) => formatQuantity(m.value, m.unit) },
    { name: 'baseline', cell: (m) => (m.baseline === undefined ? '' : formatQuantity(m.baseline, m.unit)) },
    { name: 'candidate', cell: (m) => (m.candidate === undefined ? '' : formatQuantity(m.candidate, m.unit)) },
    { name: 'interval', cell: (m) => (m.interval === undefined ? '' : formatInterval(m.interval, m.unit)) },
    {
      name: 'limit',
      cell: (m) =>
        m.limit !== undefined
          ? formatQuantity(m.limit, m.unit)
          : m.margin !== undefined
            ? `± ${formatQuantity(m.margin, m.unit)}`
            : '',
    },
    { name: 'smallest visible', cell: (m) => (m.mde === undefined ? '' : formatQuantity(m.mde, m.unit)) },
    { name: 'n', cell: (m) => (m.n === undefined ? '' : formatNumber(m.n)) },
    { name: 'method', cell: (m) => m.method ?? '' },
    { name: 'verdict', cell: (m) => m.verdict ?? '' },
  ];
  const used = columns.filter((column, index) => index === 0 || measurements.some((m) => column.cell(m) !== ''));
  return { columns: used.map((column) => column.name), rows: measurements.map((m) => used.map((column) => column.cell(m))) };
}

export function finite(values: Iterable<number>): number[] {
  return [...values].filter(Number.isFinite);
}
