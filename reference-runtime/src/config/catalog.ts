// The catalogue files that the runtime reads: prices of pools and feature flags. Checked by the same schemas as the catalog gate.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { LineCounter, parseDocument } from 'yaml';
import flagsSchema from '../../../schemas/flags.schema.json' with { type: 'json' };
import poolsSchema from '../../../schemas/pools.schema.json' with { type: 'json' };
import type { FlagConfig, PriceConfig } from './types.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const DAY_MS = 86_400_000;
/** As the canary profile's prices. */
const MAX_AGE_DAYS = 90;

interface RawPrice {
  currency: string;
  asOf: string;
  maxAgeDays?: number;
  perMtokInput: number;
  perMtokCachedInput?: number;
  perMtokOutput: number;
}

interface RawFlag {
  id: string;
  owner?: string;
  default: boolean | string | number;
  value?: boolean | string | number;
  expires: string;
}

const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true, strict: false, validateFormats: false });
const checks = {
  pools: ajv.compile<{ pools: Array<{ id: string; price?: RawPrice }> }>(poolsSchema),
  flags: ajv.compile<{ flags: RawFlag[] }>(flagsSchema),
};

/** Midnight UTC of an ISO date; undefined for a day that no calendar has. */
function dayMs(text: string): number | undefined {
  const ms = Date.parse(`${text}T00:00:00Z`);
  return Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== text ? undefined : ms;
}

/** A file's value, or its problems as whole lines. */
function read<T>(path: string, check: (value: unknown) => value is T, errors: () => string[]): T | string[] {
  if (!existsSync(path)) return [`${path}: no such file`];
  const stat = statSync(path);
  if (!stat.isFile() || stat.size > MAX_BYTES) return [`${path}: expected a YAML file of at most ${MAX_BYTES} bytes`];
  const lines = new LineCounter();
  const document = parseDocument(readFileSync(path, 'utf8'), { lineCounter: lines, uniqueKeys: true });
  const syntax = document.errors.map((error) => {
    const at = lines.linePos(error.pos[0]);
    return `${path}:${at.line}:${at.col}: ${error.message.split('\n')[0] ?? 'not YAML'}`;
  });
  if (syntax.length > 0) return syntax;
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  return check(value) ? value : errors().map((error) => `${path}: ${error}`);
}

function problemsOf(check: { errors?: Array<{ instancePath: string; message?: string }> | null }): string[] {
  return [
    ...new Set(
      (check.errors ?? []).map(
        ({ instancePath, message }) =>
          `${instancePath === '' ? 'the file' : instancePath.slice(1).replaceAll('/', '.')} ${message ?? 'is not valid'}`,
      ),
    ),
  ];
}

/** Prices by pool id, or what is wrong with the file. */
export function readPrices(path: string): Record<string, PriceConfig> | string[] {
  const { pools: check } = checks;
  const file = read(path, check, () => problemsOf(check));
  if (Array.isArray(file)) return file;
  const prices: Record<string, PriceConfig> = Object.create(null) as Record<string, PriceConfig>;
  const problems: string[] = [];
  for (const { id, price } of file.pools) {
    if (price === undefined) continue;
    const asOf = dayMs(price.asOf);
    if (asOf === undefined) problems.push(`${path}: price of ${id}: ${price.asOf} is no day`);
    else
      prices[id] = {
        currency: price.currency,
        asOf: price.asOf,
        fromMs: asOf,
        // A price looked up on a day is as old as that day's end at most.
        untilMs: asOf + ((price.maxAgeDays ?? MAX_AGE_DAYS) + 1) * DAY_MS,
        perMtokInput: price.perMtokInput,
        ...(price.perMtokCachedInput === undefined ? {} : { perMtokCachedInput: price.perMtokCachedInput }),
        perMtokOutput: price.perMtokOutput,
      };
  }
  return problems.length > 0 ? problems : prices;
}

/** Flags of the catalogue with the configuration's values, and what is wrong. */
export function readFlags(
  path: string,
  values: Record<string, boolean | string | number>,
): { flags: FlagConfig[]; problems: string[] } {
  const { flags: check } = checks;
  const file = read(path, check, () => problemsOf(check));
  if (Array.isArray(file)) return { flags: [], problems: file };
  const problems: string[] = [];
  const known = new Set<string>();
  const flags = file.flags.map((flag): FlagConfig => {
    const expiresMs = dayMs(flag.expires);
    const value = Object.hasOwn(values, flag.id) ? values[flag.id] : (flag.value ?? flag.default);
    if (expiresMs === undefined) problems.push(`${path}: flag ${flag.id}: ${flag.expires} is no day`);
    if (known.has(flag.id)) problems.push(`${path}: flag ${flag.id} is listed twice`);
    if (typeof value !== typeof flag.default)
      problems.push(`${path}: flag ${flag.id}: its value ${String(value)} is no ${typeof flag.default}, as its default is`);
    known.add(flag.id);
    return { id: flag.id, fallback: flag.default, value: value as FlagConfig['value'], expiresMs: expiresMs ?? 0 };
  });
  for (const id of Object.keys(values))
    if (!known.has(id)) problems.push(`flags.${id} is not in ${path}: catalogue it, with an owner and the day it ends`);
  return { flags, problems };
}
