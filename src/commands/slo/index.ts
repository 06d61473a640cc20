import type { CommandSpec } from '../framework.ts';
import { backtestCommand } from './backtest.ts';
import { checkCommand } from './check.ts';
import { gateCommand } from './gate.ts';
import { generateCommand } from './generate.ts';

export const command: CommandSpec = {
  name: 'slo',
  summary: 'SLO files, burn rates, error budgets, alert rules',
  subcommands: [checkCommand, gateCommand, generateCommand, backtestCommand],
};
