import { checkPolicy } from '../../policy/operations.ts';
import type { CommandSpec } from '../framework.ts';
import { onPolicy } from './on-policy.ts';
import { DATA, ENTRYPOINT, entrypointsOf } from './options.ts';

export const checkCommand: CommandSpec = {
  name: 'check',
  summary: 'opa check --strict, compilation to WASM, and the builtins the WASM host has',
  positionals: 'DIR',
  minPositionals: 1,
  options: { entrypoint: { ...ENTRYPOINT, multiple: true }, data: DATA },
  examples: [{ command: 'mixgate policy check policies/routing', does: 'every rule counts as an entrypoint' }],
  run: (invocation) => onPolicy(invocation, async (bench, source) => checkPolicy(bench, source, entrypointsOf(invocation))),
};
