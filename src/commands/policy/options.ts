import { ConfigurationError } from '../../core/errors.ts';
import { DEFAULT_MAX_POINTS } from '../../policy/prove.ts';
import type { Invocation, OptionSpec } from '../framework.ts';

export const ENTRYPOINT: OptionSpec = {
  type: 'string',
  value: 'PKG/RULE',
  description: 'the rule to evaluate, e.g. routing/decision',
};
export const DATA: OptionSpec = {
  type: 'string',
  value: 'FILE',
  description: 'data document (JSON or YAML) instead of the data files in the folder',
};
export const DOMAIN: OptionSpec = { type: 'string', value: 'FILE', description: 'input domain: {base, vary, where?}' };
export const INPUT: OptionSpec = {
  type: 'string',
  value: 'FILE|-',
  description: 'the input (JSON or YAML); - reads standard input',
  required: true,
};
export const LIMIT: OptionSpec = { type: 'integer', value: 'MS', description: 'time limit of one evaluation (default 2000)' };
export const MAX_POINTS: OptionSpec = {
  type: 'integer',
  value: 'N',
  description: `domain points up to which every one is looked at (default ${DEFAULT_MAX_POINTS})`,
};

export function required(spec: OptionSpec): OptionSpec {
  return { ...spec, required: true };
}

/** Entrypoints as `package/rule`; `data.package.rule` is taken too. */
export function entrypointsOf({ options }: Invocation): readonly string[] {
  const names = options.strings('entrypoint').map((name) =>
    name
      .replace(/^data[./]/, '')
      .replaceAll('.', '/')
      .replace(/^\/+/, ''),
  );
  for (const name of names) {
    if (!/^[A-Za-z_]\w*(?:\/[A-Za-z_]\w*)+$/.test(name))
      throw new ConfigurationError({
        message: `--entrypoint is ${JSON.stringify(name.slice(0, 100))}.`,
        expected: 'PACKAGE/RULE, e.g. routing/decision',
      });
  }
  return [...new Set(names)];
}

export function percentage({ options }: Invocation, flag: string): number | undefined {
  const value = options.number(flag);
  if (value !== undefined && (value < 0 || value > 100))
    throw new ConfigurationError({ message: `--${flag} is ${value}.`, expected: 'a percentage from 0 to 100' });
  return value;
}

/** Numbers that must be above zero. */
export function positive({ options }: Invocation, flag: string): number | undefined {
  const value = options.number(flag);
  if (value !== undefined && value <= 0)
    throw new ConfigurationError({ message: `--${flag} is ${value}.`, expected: 'a number above zero' });
  return value;
}
