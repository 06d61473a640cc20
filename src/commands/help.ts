import { capitalised } from '../core/text.ts';
import { type CommandSpec, GLOBAL_OPTIONS, type OptionSpec } from './framework.ts';

const EXIT_CODES = `Exit codes: 0 pass or warn, 1 fail, 2 usage or configuration error, 3 error, 4 inconclusive.`;

/** Help of the program: what it is, every command in a line. */
export function programHelp(commands: readonly CommandSpec[], version: string): string {
  const width = Math.max(...commands.map((command) => command.name.length));
  return [
    `mixgate ${version}: gates for changes to mixture-of-experts serving fleets`,
    '',
    'Usage: mixgate COMMAND [options]',
    '',
    'Commands:',
    ...commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`),
    '',
    'Start here:',
    '  mixgate init                     write a commented mixgate.yaml',
    '  mixgate doctor --install         get the pinned tools',
    '  mixgate check --base origin/main every pull-request gate on your branch',
    '',
    `${EXIT_CODES}`,
    'Help on a command: mixgate COMMAND --help',
    '',
  ].join('\n');
}

/** Help of one command, with examples. */
export function commandHelp(path: readonly CommandSpec[]): string {
  const command = path.at(-1)!;
  const name = ['mixgate', ...path.map((c) => c.name)].join(' ');
  const own = Object.entries(command.options ?? {});
  const usage = [
    name,
    command.subcommands !== undefined && command.run === undefined ? 'SUBCOMMAND' : '',
    command.positionals ?? '',
    '[options]',
  ]
    .filter((word) => word !== '')
    .join(' ');
  const lines = [`${capitalised(command.summary)}.`, '', `Usage: ${usage}`, ''];
  if (command.details !== undefined) lines.push(command.details.trim(), '');
  if (command.subcommands !== undefined) {
    const width = Math.max(...command.subcommands.map((c) => [c.name, c.positionals ?? ''].join(' ').length));
    lines.push(
      'Subcommands:',
      ...command.subcommands.map((c) => `  ${[c.name, c.positionals ?? ''].join(' ').padEnd(width)}  ${c.summary}`),
      '',
    );
  }
  if (own.length > 0) lines.push('Options:', ...optionLines(own), '');
  const examples = command.examples ?? command.subcommands?.flatMap((c) => c.examples?.slice(0, 1) ?? []) ?? [];
  if (examples.length > 0)
    lines.push('Examples:', ...examples.flatMap(({ command: text, does }) => [`  # ${does}`, `  ${text}`]), '');
  lines.push('Common options:', ...optionLines(Object.entries(GLOBAL_OPTIONS)), '', EXIT_CODES, '');
  return lines.join('\n');
}

function optionLines(options: readonly (readonly [string, OptionSpec])[]): string[] {
  const left = options.map(([name, spec]) => {
    const short = spec.short === undefined ? '    ' : `-${spec.short}, `;
    return `${short}--${name}${spec.type === 'boolean' ? '' : ` ${spec.value ?? 'VALUE'}`}`;
  });
  const width = Math.min(34, Math.max(...left.map((text) => text.length)));
  return options.map(([, spec], index) => {
    const choices = spec.choices === undefined ? '' : ` [${spec.choices.join('|')}]`;
    return `  ${left[index]!.padEnd(width)}  ${spec.description}${choices}${spec.required === true ? ' (required)' : ''}${spec.multiple === true && !spec.description.includes('repeatable') ? ' (repeatable)' : ''}`;
  });
}
