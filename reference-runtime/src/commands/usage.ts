// Flags of the commands, parsed strictly: an unknown flag or a bad number is a usage error that says what was expected.
import { existsSync } from 'node:fs';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { messageOf } from '../../../src/core/errors.ts';

/** A command line that cannot be run: exit code 2. */
export class UsageError extends Error {}

type Options = NonNullable<ParseArgsConfig['options']>;
export type Flags = Record<string, string | boolean | undefined>;

/** Parses flags; no positionals. @throws UsageError */
export function parseFlags(args: string[], options: Options): Flags {
  try {
    return parseArgs({ args, options, strict: true, allowPositionals: false }).values as Flags;
  } catch (error) {
    const message = messageOf(error).split('\n')[0] ?? '';
    throw new UsageError(
      `${message.replace(/\. To specify.*$/, '')}; known flags: ${Object.keys(options)
        .map((name) => `--${name}`)
        .join(', ')}`,
    );
  }
}

export function required(flags: Flags, name: string, what: string): string {
  const value = flags[name];
  if (typeof value !== 'string' || value === '') throw new UsageError(`--${name} is needed: ${what}`);
  return value;
}

export function text(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  return typeof value === 'string' ? value : undefined;
}

/** A number in a range, integers only where asked. @throws UsageError */
export function number(flags: Flags, name: string, range: { min: number; max: number; integer?: boolean }): number | undefined {
  const value = text(flags, name);
  if (value === undefined) return undefined;
  const parsed = Number(value);
  if (
    value.trim() === '' ||
    !Number.isFinite(parsed) ||
    parsed < range.min ||
    parsed > range.max ||
    (range.integer !== false && !Number.isInteger(parsed))
  ) {
    throw new UsageError(
      `--${name} ${value}: expected ${range.integer === false ? 'a number' : 'an integer'} from ${range.min} to ${range.max}`,
    );
  }
  return parsed;
}

export function oneOf<T extends string>(flags: Flags, name: string, values: readonly T[]): T | undefined {
  const value = text(flags, name);
  if (value === undefined) return undefined;
  const found = values.find((candidate) => candidate === value);
  if (found === undefined) throw new UsageError(`--${name} ${value}: expected one of ${values.join(', ')}`);
  return found;
}

/** A path that must exist. @throws UsageError */
export function existing(path: string, flag: string): string {
  if (!existsSync(path)) throw new UsageError(`--${flag}: no such file or directory: ${path}`);
  return path;
}

const GPUS = ['auto', 'cuda', 'vulkan', 'metal', 'false'] as const;

/** Flags of every verb that loads a model. */
export const ENGINE_FLAGS = { threads: { type: 'string' }, gpu: { type: 'string' }, context: { type: 'string' } } as const;

export function engineFlags(flags: Flags): {
  threads: number | undefined;
  gpu: 'auto' | 'cuda' | 'vulkan' | 'metal' | false | undefined;
  context: number | undefined;
} {
  const gpu = oneOf(flags, 'gpu', GPUS);
  return {
    threads: number(flags, 'threads', { min: 1, max: 1024 }),
    gpu: gpu === 'false' ? false : gpu,
    context: number(flags, 'context', { min: 32, max: 1_048_576 }),
  };
}
