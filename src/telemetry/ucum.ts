/**
 * Checks units against UCUM (The Unified Code for Units of Measure, case-sensitive codes), as far as telemetry uses it:
 * terms joined by `.` and `/`, a prefix and an atom with an integer exponent, annotations in braces.
 */

const METRIC_ATOMS = new Set([
  'm',
  's',
  'g',
  'rad',
  'K',
  'C',
  'cd',
  'mol',
  'A',
  'V',
  'W',
  'J',
  'N',
  'Pa',
  'Hz',
  'Ohm',
  'F',
  'H',
  'T',
  'Wb',
  'lm',
  'lx',
  'Bq',
  'Cel',
  'l',
  'L',
  'B',
  'By',
  'bit',
  'Bd',
  'bar',
  'eV',
  't',
  'S',
  'sr',
  'u',
]);
const OTHER_ATOMS = new Set([
  'min',
  'h',
  'd',
  'wk',
  'mo',
  'a',
  '%',
  '[ppth]',
  '[ppm]',
  '[ppb]',
  'deg',
  "'",
  "''",
  '[degF]',
  '[in_i]',
  '[ft_i]',
  '[mi_i]',
  '10*',
  '10^',
  '[pi]',
]);
const PREFIXES = [
  'da',
  'Ki',
  'Mi',
  'Gi',
  'Ti',
  'Y',
  'Z',
  'E',
  'P',
  'T',
  'G',
  'M',
  'k',
  'h',
  'd',
  'c',
  'm',
  'u',
  'n',
  'p',
  'f',
  'a',
  'z',
  'y',
];
const BINARY = new Set(['Ki', 'Mi', 'Gi', 'Ti']);
const MAX_LENGTH = 63;

/** Why a unit is wrong, or undefined when it is right. */
export function unitProblem(unit: string): string | undefined {
  if (unit === '') return 'it is empty; a unitless metric has `1`, a count of things has `{thing}`';
  if (unit.length > MAX_LENGTH) return `it is longer than ${MAX_LENGTH} characters`;
  const symbol = WORDS.get(unit.toLowerCase());
  if (symbol !== undefined) return `UCUM writes it \`${symbol}\``;
  const outside = unit.replace(/\{[^{}]*\}/g, (annotation) => (/^\{[\x21-\x7e]+\}$/.test(annotation) ? '' : '\u0000'));
  if (outside.includes('\u0000')) return 'an annotation in braces is empty or has a space';
  if (/[{}]/.test(outside)) return 'its braces do not match';
  if (/\s/.test(unit)) return 'it has a space';
  const terms = unit
    .replace(/\{[^{}]*\}/g, '{}')
    .replace(/^\//, '')
    .split(/[./]/);
  for (const term of terms) {
    const problem = termProblem(term);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

const BASE_UNITS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ms: 's',
    us: 's',
    ns: 's',
    min: 's',
    h: 's',
    d: 's',
    KiBy: 'By',
    MiBy: 'By',
    GiBy: 'By',
    kBy: 'By',
    MBy: 'By',
    GBy: 'By',
    '%': '1',
  }),
);

/** The unit that telemetry should use instead of a scaled one (semantic conventions: "use non-prefixed units"), if any. */
export function baseUnit(unit: string): string | undefined {
  return BASE_UNITS.get(unit);
}

const WORDS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    second: 's',
    seconds: 's',
    sec: 's',
    secs: 's',
    millisecond: 'ms',
    milliseconds: 'ms',
    msec: 'ms',
    microseconds: 'us',
    nanoseconds: 'ns',
    minute: 'min',
    minutes: 'min',
    hour: 'h',
    hours: 'h',
    day: 'd',
    days: 'd',
    byte: 'By',
    bytes: 'By',
    kilobytes: 'kBy',
    megabytes: 'MBy',
    percent: '%',
    ratio: '1',
    count: '{count}',
    request: '{request}',
    requests: '{request}',
    token: '{token}',
    tokens: '{token}',
    bits: 'bit',
    meters: 'm',
    watts: 'W',
    joules: 'J',
    celsius: 'Cel',
  }),
);

function termProblem(term: string): string | undefined {
  const bare = term.replace(/(?:\{\})+$/, '');
  if (bare === '' || /^[1-9]\d*$/.test(bare)) return term === '' ? 'a term is empty' : undefined;
  const match = /^(?<symbol>.*?)(?<exponent>[+-]?\d+)?$/.exec(bare)!;
  const symbol = match.groups!['symbol']!;
  if (OTHER_ATOMS.has(symbol) || METRIC_ATOMS.has(symbol)) return undefined;
  for (const prefix of PREFIXES) {
    if (!symbol.startsWith(prefix)) continue;
    const atom = symbol.slice(prefix.length);
    if (BINARY.has(prefix) ? atom === 'By' || atom === 'bit' : METRIC_ATOMS.has(atom)) return undefined;
  }
  return `\`${symbol}\` is not a UCUM unit; a count of things is written in braces, e.g. \`{${symbol.replace(/[^A-Za-z]/g, '') || 'thing'}}\``;
}
