import type { CommandSpec } from '../framework.ts';
import { checkCommand } from './check.ts';
import { fitCommand } from './fit.ts';

export const command: CommandSpec = {
  name: 'catalog',
  summary: 'the model catalogue: metadata, digests, and whether models fit their pools',
  subcommands: [checkCommand, fitCommand],
};
