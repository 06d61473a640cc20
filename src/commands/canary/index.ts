import type { CommandSpec } from '../framework.ts';
import { historyCommand } from './history.ts';
import { judgeCommand } from './judge.ts';
import { runCommand } from './run.ts';
import { serveCommand } from './serve.ts';

export const command: CommandSpec = {
  name: 'canary',
  summary: 'compare a candidate with what serves now, and judge',
  subcommands: [runCommand, judgeCommand, historyCommand, serveCommand],
};
