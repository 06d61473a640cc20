import { describe, expect, it } from 'vitest';
import { type CommandSpec, parseCommandLine } from '../../src/commands/framework.ts';
import { commandHelp, programHelp } from '../../src/commands/help.ts';
import { ConfigurationError } from '../../src/core/errors.ts';

const run = async () => ({ text: '' });
const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'check',
    summary: 'check it',
    options: { base: { type: 'string', value: 'REF', description: 'base' } },
    examples: [{ command: 'mixgate check', does: 'all' }],
    run,
  },
  {
    name: 'policy',
    summary: 'policies',
    subcommands: [
      {
        name: 'diff',
        summary: 'diff',
        positionals: 'BASE HEAD',
        minPositionals: 2,
        run,
        options: {
          entrypoint: { type: 'string', value: 'E', description: 'entrypoint', required: true },
          points: { type: 'integer', description: 'points' },
        },
      },
      { name: 'test', summary: 'test', run },
    ],
  },
  {
    name: 'drift',
    summary: 'drift',
    run,
    subcommands: [{ name: 'compare', summary: 'compare', positionals: 'LEFT RIGHT', minPositionals: 2, run }],
  },
];
const parse = (...argv: string[]) => {
  const { path, options, positionals, help } = parseCommandLine(COMMANDS, argv);
  return {
    path: path.map((c) => c.name).join(' '),
    positionals,
    help,
    string: options.string,
    strings: options.strings,
    boolean: options.boolean,
    number: options.number,
  };
};

describe('parseCommandLine', () => {
  it.each([
    [['check'], 'check', []],
    [['policy', 'diff', 'a', 'b', '--entrypoint', 'x/y'], 'policy diff', ['a', 'b']],
    [['policy', '--entrypoint', 'test', 'diff', 'a', 'b'], 'policy diff', ['a', 'b']],
    [['-C', 'check', 'check'], 'check', []],
    [['drift'], 'drift', []],
    [['drift', 'compare', 'a', 'b'], 'drift compare', ['a', 'b']],
    [['policy', 'diff', '--entrypoint', 'x/y', '--', '-a', 'b'], 'policy diff', ['-a', 'b']],
  ])('%j', (argv, path, positionals) => {
    expect(parse(...argv)).toMatchObject({ path, positionals });
  });

  it('reads values of every type', () => {
    const parsed = parse(
      'policy',
      'diff',
      'a',
      'b',
      '--entrypoint=x/y',
      '--points',
      '12',
      '--quiet',
      '--report',
      'json=a',
      '--report',
      'html=b',
    );
    expect(parsed.string('entrypoint')).toBe('x/y');
    expect(parsed.number('points')).toBe(12);
    expect(parsed.boolean('quiet')).toBe(true);
    expect(parsed.strings('report')).toEqual(['json=a', 'html=b']);
    expect(parsed.string('config')).toBeUndefined();
  });

  it.each([
    [['chek'], /unknown command `chek`.*did you mean `check`/],
    [['policy', 'dif'], /unknown command `policy dif`.*did you mean `diff`/],
    [['check', '--bse', 'x'], /unknown flag `--bse`.*did you mean `--base`/],
    [['check', '--format', 'yml'], /--format is "yml"\. Expected one of text, json/],
    [['policy', 'diff', 'a', 'b', '--entrypoint', 'x/y', '--points', '1e3'], /--points is "1e3"\. Expected a whole number/],
    [['policy', 'diff', 'a', 'b'], /--entrypoint E is missing/],
    [['policy', 'diff', 'a', '--entrypoint', 'x/y'], /`mixgate policy diff` needs BASE HEAD/],
    [['check', 'stray'], /unexpected argument `stray`/],
    [['check', '--base'], /argument missing|needs an argument/i],
    [['check', '--base='], /--base is empty/],
  ])('%j is one clear error', (argv, expected) => {
    expect(() => parse(...argv)).toThrow(ConfigurationError);
    expect(() => parse(...argv)).toThrow(expected);
  });

  it('help wins over what is missing', () => {
    expect(parse('policy', 'diff', '--help')).toMatchObject({ path: 'policy diff', help: true });
  });
});

describe('help', () => {
  it('shows every command in a line', () => {
    for (const command of COMMANDS)
      expect(programHelp(COMMANDS, '1.2.3')).toMatch(new RegExp(`^  ${command.name} +${command.summary}$`, 'm'));
  });
  it('shows usage, flags, examples and exit codes', () => {
    const text = commandHelp([COMMANDS[0]!]);
    for (const part of [
      'Usage: mixgate check [options]',
      '--base REF',
      '  # all\n  mixgate check',
      '--no-color',
      'Exit codes: 0 pass or warn, 1 fail, 2 usage or configuration error, 3 error, 4 inconclusive.',
    ])
      expect(text).toContain(part);
  });
});
