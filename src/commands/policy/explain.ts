import { explainText } from '../../policy/explain-report.ts';
import { evaluatePolicy } from '../../policy/operations.ts';
import type { CommandOutcome, CommandSpec, Invocation } from '../framework.ts';
import { decisionText } from './decision-text.ts';
import { domainDocument, jsonFile } from './inputs.ts';
import { onPolicy } from './on-policy.ts';
import { DATA, DOMAIN, ENTRYPOINT, entrypointsOf, INPUT, LIMIT, required } from './options.ts';

export const explainCommand: CommandSpec = {
  name: 'explain',
  summary: 'why one decision is what it is, and what would change it',
  positionals: 'DIR',
  minPositionals: 1,
  options: {
    entrypoint: required(ENTRYPOINT),
    input: INPUT,
    domain: { ...DOMAIN, description: 'input domain in which the smallest change that flips the decision is searched' },
    data: DATA,
    limit: LIMIT,
  },
  details:
    'Shows the rules that held, the first expression that failed in each of the others with the values it read, and the input fields that are absent.',
  examples: [
    {
      command:
        'mixgate policy explain policies/routing --entrypoint routing/decision --input request.json --domain policies/domain.yaml',
      does: 'the decision, its reasons, and what would flip it',
    },
  ],
  run: runExplain,
};

async function runExplain(invocation: Invocation): Promise<CommandOutcome> {
  const input = await jsonFile(invocation, invocation.options.string('input')!);
  const document = await domainDocument(invocation);
  return onPolicy(
    invocation,
    async (bench, source) => evaluatePolicy(bench, source, entrypointsOf(invocation)[0]!, input, { document }),
    (gate) => (gate.findings.length > 0 ? undefined : `${decisionText(gate)}\n${explainText(gate)}`),
  );
}
