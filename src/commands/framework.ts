import { parseArgs } from 'node:util';
import { listSome, nearest } from '../config/suggest.ts';
import type { RunContext } from '../core/context.ts';
import { ConfigurationError, messageOf } from '../core/errors.ts';
import type { Report } from '../core/report.ts';

/** A flag, declared as data: parsing, help and documentation come from it. */
export interface OptionSpec {
  readonly type: 'string' | 'boolean' | 'integer' | 'number';
  readonly description: string;
  /** How the value is shown in help, e.g. `FILE`. */
  readonly value?: string;
  readonly multiple?: boolean;
  readonly short?: string;
  /** Allowed values. */
  readonly choices?: readonly string[];
  readonly required?: boolean;
}

export interface CommandSpec {
  /** As typed, e.g. `check`, or `diff` below `policy`. */
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** Positional arguments as shown in help, e.g. `BASE HEAD`. */
  readonly positionals?: string;
  readonly minPositionals?: number;
  readonly maxPositionals?: number;
  readonly options?: { readonly [flag: string]: OptionSpec };
  /** Command lines that work, with what they do. */
  readonly examples?: readonly { readonly command: string; readonly does: string }[];
  /** Longer text under the usage. */
  readonly details?: string;
  readonly subcommands?: readonly CommandSpec[];
  readonly run?: (invocation: Invocation) => Promise<CommandOutcome>;
}

/** What a command is run with. */
export interface Invocation extends RunContext {
  /** Absolute path of -C DIR (default: the working directory). */
  readonly dir: string;
  /** --config FILE, relative to `dir`. */
  readonly config: string;
  readonly positionals: readonly string[];
  readonly options: OptionValues;
  /** The words that were typed, for provenance. */
  readonly command: string;
  readonly stdin: NodeJS.ReadableStream;
  readonly env: NodeJS.ProcessEnv;
}

export interface OptionValues {
  string(name: string): string | undefined;
  /** Every value of a repeatable flag. */
  strings(name: string): readonly string[];
  number(name: string): number | undefined;
  boolean(name: string): boolean;
}

/** A report is rendered in the chosen format; text goes to stdout as it is. */
export type CommandOutcome =
  | {
      readonly report: Report /** Replaces the default text rendering, where people expect another form. */;
      readonly text?: string;
    }
  | { readonly text: string; readonly exitCode?: number }
  /** Output that comes line by line; resolves to the exit code. */
  | { readonly stream: (write: (text: string) => Promise<void>) => Promise<number> };

export const GLOBAL_OPTIONS: { readonly [flag: string]: OptionSpec } = {
  dir: { type: 'string', short: 'C', value: 'DIR', description: 'run as if started in DIR' },
  config: { type: 'string', value: 'FILE', description: 'configuration file (default mixgate.yaml)' },
  format: {
    type: 'string',
    value: 'FORMAT',
    choices: ['text', 'json', 'markdown', 'sarif', 'junit', 'html'],
    description: 'format of stdout (default text)',
  },
  report: { type: 'string', value: 'FORMAT=FILE', multiple: true, description: 'also write the report to a file; repeatable' },
  evidence: {
    type: 'string',
    value: 'DIR',
    description: 'also write an evidence statement per run to DIR, for `mixgate promote`',
  },
  seed: { type: 'integer', value: 'N', description: 'seed of every random step (default: from the head commit)' },
  mode: { type: 'string', value: 'MODE', choices: ['enforce', 'warn'], description: 'warn: report everything, exit 0' },
  'on-error': {
    type: 'string',
    value: 'HOW',
    choices: ['fail', 'warn'],
    description: 'a gate that could not run: fail (default) or warn',
  },
  'on-inconclusive': {
    type: 'string',
    value: 'HOW',
    choices: ['fail', 'warn'],
    description: 'not enough evidence: fail (default) or warn',
  },
  quiet: { type: 'boolean', short: 'q', description: 'no progress on stderr' },
  'no-color': { type: 'boolean', description: 'no colour (also NO_COLOR)' },
  help: { type: 'boolean', short: 'h', description: 'show help with examples' },
};

export interface Parsed {
  readonly path: readonly CommandSpec[];
  readonly options: OptionValues;
  readonly positionals: readonly string[];
  readonly help: boolean;
}

/** Finds the command in argv and parses its flags; ConfigurationError with a suggestion for anything unknown. */
export function parseCommandLine(commands: readonly CommandSpec[], argv: readonly string[]): Parsed {
  const path: CommandSpec[] = [];
  const rest: string[] = [];
  let candidates: readonly CommandSpec[] | undefined = commands;
  const takesValue = valueFlags(commands);
  let skip = false;
  for (const [index, word] of argv.entries()) {
    if (word === '--') {
      rest.push(...argv.slice(index));
      break;
    }
    if (skip || word.startsWith('-') || candidates === undefined) {
      skip = !skip && takesValue.has(word);
      rest.push(word);
      continue;
    }
    const found: CommandSpec | undefined = candidates.find((command) => command.name === word);
    if (found === undefined) {
      // A command that also works on its own (`drift`) takes the word as a positional argument.
      if (path.at(-1)?.run !== undefined) {
        candidates = undefined;
        rest.push(word);
        continue;
      }
      const names = candidates.map((command) => command.name);
      const guess = nearest(word, names);
      throw new ConfigurationError({
        message: `unknown command \`${[...path.map((c) => c.name), word].join(' ')}\`.`,
        expected: `one of ${listSome(names, 20)}`,
        ...(guess === undefined ? {} : { fix: `did you mean \`${guess}\`?` }),
      });
    }
    path.push(found);
    candidates = found.subcommands;
  }
  const command = path.at(-1);
  const specs = { ...GLOBAL_OPTIONS, ...command?.options };
  const { values, positionals } = parseFlags(specs, rest);
  const help = values['help'] === true;
  if (!help && command?.run !== undefined) {
    for (const [name, spec] of Object.entries(specs)) {
      if (spec.required === true && values[name] === undefined)
        throw new ConfigurationError({
          message: `--${name}${spec.value === undefined ? '' : ` ${spec.value}`} is missing.`,
          expected: spec.description,
        });
    }
    checkPositionals(path, positionals);
  }
  return { path, options: optionValues(values), positionals, help };
}

function checkPositionals(path: readonly CommandSpec[], positionals: readonly string[]): void {
  const command = path.at(-1)!;
  const least = command.minPositionals ?? 0;
  const most = command.maxPositionals ?? least;
  if (positionals.length >= least && positionals.length <= most) return;
  const name = path.map((c) => c.name).join(' ');
  throw new ConfigurationError({
    message:
      positionals.length < least
        ? `\`mixgate ${name}\` needs ${command.positionals ?? 'more arguments'}.`
        : `\`mixgate ${name}\` got an unexpected argument \`${positionals[most]}\`.`,
    fix: `see \`mixgate ${name} --help\`.`,
  });
}

type Values = Record<string, string | boolean | (string | boolean)[] | undefined>;

function parseFlags(
  specs: { readonly [flag: string]: OptionSpec },
  argv: readonly string[],
): { values: Values; positionals: string[] } {
  const options = Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => [
      name,
      {
        type: spec.type === 'boolean' ? ('boolean' as const) : ('string' as const),
        multiple: spec.multiple ?? false,
        ...(spec.short === undefined ? {} : { short: spec.short }),
      },
    ]),
  );
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
  } catch (error) {
    const unknown = /Unknown option '(?<flag>-[^']*)'/.exec(messageOf(error))?.groups?.['flag'];
    if (unknown === undefined) throw new ConfigurationError(messageOf(error));
    const guess = nearest(unknown.replace(/^-+/, ''), Object.keys(specs));
    throw new ConfigurationError({
      message: `unknown flag \`${unknown}\`.`,
      expected: `one of ${listSome(
        Object.keys(specs).map((name) => `--${name}`),
        20,
      )}`,
      ...(guess === undefined ? {} : { fix: `did you mean \`--${guess}\`?` }),
    });
  }
  const values = parsed.values as Values;
  for (const [name, spec] of Object.entries(specs)) {
    for (const value of [values[name] ?? []].flat()) checkValue(name, spec, value);
  }
  return { values, positionals: parsed.positionals };
}

function checkValue(name: string, spec: OptionSpec, value: string | boolean): void {
  if (spec.choices !== undefined && !spec.choices.includes(String(value))) {
    const guess = nearest(String(value), spec.choices);
    throw new ConfigurationError({
      message: `--${name} is ${JSON.stringify(value)}.`,
      expected: `one of ${spec.choices.join(', ')}`,
      ...(guess === undefined ? {} : { fix: `did you mean \`${guess}\`?` }),
    });
  }
  if (spec.type === 'integer' && !/^-?\d{1,15}$/.test(String(value)))
    throw new ConfigurationError({ message: `--${name} is ${JSON.stringify(value)}.`, expected: 'a whole number' });
  if (spec.type === 'number' && (String(value).trim() === '' || !Number.isFinite(Number(value))))
    throw new ConfigurationError({ message: `--${name} is ${JSON.stringify(value)}.`, expected: 'a number' });
  if (spec.type === 'string' && value === '')
    throw new ConfigurationError({ message: `--${name} is empty.`, expected: spec.value ?? 'a value' });
}

function optionValues(values: Values): OptionValues {
  const first = (name: string): string | undefined => {
    const value = values[name];
    const last = Array.isArray(value) ? value.at(-1) : value;
    return typeof last === 'string' ? last : undefined;
  };
  return {
    string: first,
    strings: (name) => [values[name] ?? []].flat().filter((value) => typeof value === 'string'),
    number: (name) => (first(name) === undefined ? undefined : Number(first(name))),
    boolean: (name) => values[name] === true,
  };
}

/** Flags (of any command) that take a value, so that a value isn't taken for a command word. */
function valueFlags(commands: readonly CommandSpec[]): Set<string> {
  const flags = new Set<string>();
  const add = (options: CommandSpec['options']): void => {
    for (const [name, spec] of Object.entries(options ?? {})) {
      if (spec.type === 'boolean') continue;
      flags.add(`--${name}`);
      if (spec.short !== undefined) flags.add(`-${spec.short}`);
    }
  };
  const walk = (list: readonly CommandSpec[]): void => {
    for (const command of list) {
      add(command.options);
      walk(command.subcommands ?? []);
    }
  };
  add(GLOBAL_OPTIONS);
  walk(commands);
  return flags;
}
