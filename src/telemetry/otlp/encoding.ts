import { nearest } from '../../config/suggest.ts';
import { ENUM_MAX, type FieldType, MESSAGES } from './descriptors.ts';

export type SamplePath = readonly (string | number)[];

/** One breach of the OTLP/JSON encoding (OTLP specification, "JSON Protobuf Encoding"). */
export interface EncodingProblem {
  readonly path: SamplePath;
  /** What is wrong with it, without values, so that the same mistake in many points is one finding. */
  readonly message: string;
  /** A function where it takes work to say. */
  readonly fix?: string | (() => string);
  /** Unknown fields are ignored by receivers: a warning, not an error. */
  readonly level: 'error' | 'warning';
}

const MAX_DEPTH = 32;

/** Checks one request; every problem goes to `emit`. Time is linear in the size of the value. */
export function checkEncoding(request: unknown, emit: (problem: EncodingProblem) => void): void {
  if (typeof request !== 'object' || request === null || Array.isArray(request)) {
    emit({
      path: [],
      level: 'error',
      message: `the request is ${typeName(request)}, expected an object with resourceMetrics, resourceSpans or resourceLogs`,
    });
    return;
  }
  if (!['resourceMetrics', 'resourceSpans', 'resourceLogs'].some((key) => key in request)) {
    emit({
      path: [],
      level: 'error',
      message: 'the request has none of resourceMetrics, resourceSpans, resourceLogs',
      fix: 'Check that this is OTLP/JSON and not another sample format.',
    });
  }
  checkMessage(request as Record<string, unknown>, 'Request', [], 0, emit);
}

function checkMessage(
  value: Record<string, unknown>,
  name: string,
  path: SamplePath,
  depth: number,
  emit: (problem: EncodingProblem) => void,
): void {
  if (depth > MAX_DEPTH) {
    emit({ path, level: 'error', message: `nested deeper than ${MAX_DEPTH} messages` });
    return;
  }
  const fields = MESSAGES[name]!;
  for (const [key, field] of Object.entries(value)) {
    if (field === null || field === undefined) continue;
    const type = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (type === undefined) unknownKey(key, name, fields, [...path, key], emit);
    else checkField(field, type, key, [...path, key], depth, emit);
  }
  if (name === 'AnyValue') {
    const set = Object.keys(fields).filter((key) => value[key] !== undefined && value[key] !== null);
    if (set.length > 1)
      emit({ path, level: 'error', message: `an attribute value has ${set.join(' and ')}, expected exactly one` });
  }
  if (name === 'HistogramDataPoint') checkHistogram(value, path, emit);
  if (name === 'NumberDataPoint' && value['asInt'] !== undefined && value['asDouble'] !== undefined)
    emit({ path, level: 'error', message: 'a data point has both asInt and asDouble, expected one' });
}

function unknownKey(
  key: string,
  message: string,
  fields: Readonly<Record<string, unknown>>,
  path: SamplePath,
  emit: (problem: EncodingProblem) => void,
): void {
  const camel = key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  if (camel !== key && Object.hasOwn(fields, camel)) {
    emit({
      path,
      level: 'error',
      message: `\`${key}\` in ${message} is snake_case, which receivers ignore`,
      fix: `Write \`${camel}\`.`,
    });
    return;
  }
  emit({
    path,
    level: 'warning',
    message: `\`${key.slice(0, 64)}\` in ${message} is unknown, so receivers ignore it`,
    fix: () => {
      const guess = nearest(key, Object.keys(fields));
      return guess === undefined ? 'Remove it.' : `Did you mean \`${guess}\`?`;
    },
  });
}

function checkField(
  value: unknown,
  type: FieldType,
  key: string,
  path: SamplePath,
  depth: number,
  emit: (problem: EncodingProblem) => void,
): void {
  if (typeof type === 'object') {
    if ('list' in type) {
      if (!Array.isArray(value)) emit({ path, level: 'error', message: `\`${key}\` is ${typeName(value)}, expected a list` });
      else for (const [index, item] of value.entries()) checkField(item, type.list, key, [...path, index], depth, emit);
    } else if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      emit({ path, level: 'error', message: `\`${key}\` is ${typeName(value)}, expected an object` });
    } else {
      checkMessage(value as Record<string, unknown>, type.message, path, depth + 1, emit);
    }
    return;
  }
  const problem = scalarProblem(value, type, key);
  if (problem !== undefined) emit({ path, level: 'error', ...problem });
}

const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

function scalarProblem(
  value: unknown,
  type: Exclude<FieldType, object>,
  key: string,
): { message: string; fix?: string } | undefined {
  switch (type) {
    case 'string':
      return typeof value === 'string' ? undefined : { message: `\`${key}\` is ${typeName(value)}, expected a string` };
    case 'bool':
      return typeof value === 'boolean' ? undefined : { message: `\`${key}\` is ${typeName(value)}, expected true or false` };
    case 'double':
      if (
        typeof value === 'number' ||
        typeof value === 'bigint' ||
        value === 'NaN' ||
        value === 'Infinity' ||
        value === '-Infinity'
      )
        return undefined;
      return { message: `\`${key}\` is ${typeName(value)}, expected a number, "NaN", "Infinity" or "-Infinity"` };
    case 'uint32':
    case 'int32': {
      const low = type === 'uint32' ? 0 : -(2 ** 31);
      const high = type === 'uint32' ? 2 ** 32 - 1 : 2 ** 31 - 1;
      if (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high) return undefined;
      return { message: `\`${key}\` is ${typeName(value)}, expected a whole number (32 bits are written as numbers)` };
    }
    case 'int64':
    case 'uint64':
    case 'fixed64': {
      const number = integerOf(value);
      if (number === undefined)
        return {
          message: `\`${key}\` is ${typeName(value)}, expected a whole number as a decimal string`,
          fix: `Write it like "${key === 'timeUnixNano' ? '1700000000000000000' : '42'}".`,
        };
      const fits = type === 'int64' ? number <= INT64_MAX && number >= -INT64_MAX - 1n : number >= 0n && number <= UINT64_MAX;
      return fits ? undefined : { message: `\`${key}\` does not fit into 64 bits or is negative` };
    }
    case 'bytes':
      if (typeof value === 'string' && /^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) return undefined;
      return { message: `\`${key}\` is not base64` };
    case 'traceId':
    case 'spanId': {
      const length = type === 'traceId' ? 32 : 16;
      if (typeof value === 'string' && (value === '' || (value.length === length && /^[0-9A-Fa-f]+$/.test(value))))
        return undefined;
      const base64 =
        typeof value === 'string' && /^[A-Za-z0-9+/]+={0,2}$/.test(value) && Buffer.from(value, 'base64').length === length / 2;
      return {
        message: `\`${key}\` is not ${length} hexadecimal characters${base64 ? ' but base64' : ''}`,
        fix: 'OTLP/JSON writes ids in hexadecimal, unlike other JSON forms of protobuf.',
      };
    }
    default: {
      const high = ENUM_MAX[type];
      if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= high) return undefined;
      return typeof value === 'string'
        ? {
            message: `\`${key}\` is a name, expected the number of the enum (0..${high})`,
            fix: 'Enum names are forbidden in OTLP/JSON.',
          }
        : { message: `\`${key}\` is ${typeName(value)}, expected a whole number 0..${high}` };
    }
  }
}

/** 64-bit integers as text or number; readers take both. */
export function integerOf(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  return typeof value === 'string' && /^-?\d{1,20}$/.test(value) ? BigInt(value) : undefined;
}

/** A double in any of its forms. */
export function doubleOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (value === 'NaN') return Number.NaN;
  if (value === 'Infinity') return Number.POSITIVE_INFINITY;
  return value === '-Infinity' ? Number.NEGATIVE_INFINITY : undefined;
}

function checkHistogram(value: Record<string, unknown>, path: SamplePath, emit: (problem: EncodingProblem) => void): void {
  const counts = Array.isArray(value['bucketCounts']) ? (value['bucketCounts'] as readonly unknown[]) : [];
  const bounds = Array.isArray(value['explicitBounds']) ? (value['explicitBounds'] as readonly unknown[]) : [];
  if (!(counts.length === 0 && bounds.length === 0) && counts.length !== bounds.length + 1) {
    emit({ path, level: 'error', message: 'a histogram point does not have one bucket more than bounds (or none of both)' });
    return;
  }
  const numbers = bounds.map(doubleOf);
  if (numbers.some((bound, index) => index > 0 && !((bound ?? Number.NaN) > (numbers[index - 1] ?? Number.NaN))))
    emit({ path, level: 'error', message: 'the explicitBounds of a histogram point do not ascend' });
  const total = integerOf(value['count']);
  const parts = counts.map(integerOf);
  if (counts.length > 0 && total !== undefined && parts.every((part) => part !== undefined)) {
    const sum = parts.reduce<bigint>((all, part) => all + part!, 0n);
    if (sum !== total)
      emit({ path, level: 'error', message: 'the bucketCounts of a histogram point do not add up to its count' });
  }
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number') return Number.isInteger(value) ? 'a number' : 'a fraction';
  if (typeof value === 'bigint') return 'a number';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
