import type { CommandSpec } from '../framework.ts';
import { checkCommand } from './check.ts';
import { diffCommand } from './diff.ts';
import { samplesCommand } from './samples.ts';

export const command: CommandSpec = {
  name: 'telemetry',
  summary: 'check telemetry schemas, compare two of them, judge OTLP/JSON samples',
  subcommands: [checkCommand, diffCommand, samplesCommand],
};
