import type { CommandSpec } from '../framework.ts';
import { benchCommand } from './bench.ts';
import { checkCommand } from './check.ts';
import { diffCommand } from './diff.ts';
import { evalCommand } from './eval.ts';
import { explainCommand } from './explain.ts';
import { lintCommand } from './lint.ts';
import { proveCommand } from './prove.ts';
import { testCommand } from './test.ts';

export const command: CommandSpec = {
  name: 'policy',
  summary: 'check, test, prove and compare Rego policies',
  details:
    'Compiles with OPA, evaluates in WASM. A folder is read as `opa build --bundle` does: *.rego, and data only from data.json or data.yaml.',
  examples: [
    {
      command:
        'mixgate policy prove policies/routing --entrypoint routing/decision --domain policies/domain.yaml --invariants policies/invariants',
      does: 'invariants on the whole domain',
    },
    {
      command:
        'mixgate policy diff main:policies/routing policies/routing --entrypoint routing/decision --corpus policies/corpus.ndjson',
      does: 'what this change does to recorded traffic',
    },
  ],
  subcommands: [checkCommand, testCommand, lintCommand, benchCommand, diffCommand, proveCommand, evalCommand, explainCommand],
};
