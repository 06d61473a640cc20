import { evaluatePolicy } from '../../policy/operations.ts';
import type { CommandOutcome, CommandSpec, Invocation } from '../framework.ts';
import { decisionText } from './decision-text.ts';
import { jsonFile } from './inputs.ts';
import { onPolicy } from './on-policy.ts';
import { DATA, ENTRYPOINT, entrypointsOf, INPUT, LIMIT, required } from './options.ts';

export const evalCommand: CommandSpec = {
  name: 'eval',
  summary: 'one decision and the rules that made it',
  positionals: 'DIR',
  minPositionals: 1,
  options: {
    entrypoint: required(ENTRYPOINT),
    input: INPUT,
    data: DATA,
    limit: LIMIT,
  },
  examples: [
    {
      command: 'mixgate policy eval policies/routing --entrypoint routing/decision --input request.json',
      does: 'decision, deciding rule and every rule that held',
    },
  ],
  run: runEval,
};

async function runEval(invocation: Invocation): Promise<CommandOutcome> {
  const input = await jsonFile(invocation, invocation.options.string('input')!);
  return onPolicy(
    invocation,
    async (bench, source) => evaluatePolicy(bench, source, entrypointsOf(invocation)[0]!, input),
    (gate) => (gate.findings.length > 0 ? undefined : decisionText(gate)),
  );
}
