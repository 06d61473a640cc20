import { ConfigurationError } from '../../core/errors.ts';
import { DEFAULT_ROUNDS } from '../../policy/bench.ts';
import { type InputPath, parsePath } from '../../policy/domain.ts';
import { DEFAULT_BUDGET_MS } from '../../policy/latency.ts';
import { benchPolicy } from '../../policy/operations.ts';
import type { CommandSpec, Invocation } from '../framework.ts';
import { corpusOf, domainDocument, jsonFile } from './inputs.ts';
import { onPolicy } from './on-policy.ts';
import { DATA, DOMAIN, ENTRYPOINT, entrypointsOf, positive, required } from './options.ts';

const DEFAULT_GROWTH_INPUT = 'fleet.pools';
const DEFAULT_GROWTH_DATA = 'tenants';

export const benchCommand: CommandSpec = {
  name: 'bench',
  summary: 'evaluation latency, p50 and p99, against the budget',
  positionals: 'DIR',
  minPositionals: 1,
  options: {
    entrypoint: { ...required(ENTRYPOINT), multiple: true },
    corpus: { type: 'string', value: 'FILE', description: 'inputs to use (NDJSON)' },
    domain: DOMAIN,
    input: { type: 'string', value: 'FILE', description: 'one input to use (JSON)' },
    budget: { type: 'number', value: 'MS', description: `p99 budget (default ${DEFAULT_BUDGET_MS})` },
    rounds: { type: 'integer', value: 'N', description: `evaluations (default ${DEFAULT_ROUNDS})` },
    growth: { type: 'boolean', description: 'also measure at 1, 4 and 16 times the pools, tenants and rules' },
    'growth-input': {
      type: 'string',
      value: 'PATH',
      description: `array of the input that grows (default ${DEFAULT_GROWTH_INPUT})`,
    },
    'growth-data': {
      type: 'string',
      value: 'PATH',
      description: `object of the data that grows (default ${DEFAULT_GROWTH_DATA})`,
    },
    data: DATA,
  },
  examples: [
    {
      command: 'mixgate policy bench policies/routing --entrypoint routing/decision --corpus policies/corpus.ndjson',
      does: 'latency on recorded traffic',
    },
    {
      command:
        'mixgate policy bench policies/routing --entrypoint routing/decision --domain policies/domain.yaml --growth --report html=growth.html',
      does: 'how latency grows, and where it meets the budget',
    },
  ],
  run: (invocation) =>
    onPolicy(invocation, async (bench, source) => {
      const entrypoints = entrypointsOf(invocation);
      const corpus = await corpusOf(invocation, entrypoints[0]!);
      const input = invocation.options.string('input');
      const inputs = [
        ...(corpus?.inputs ?? []).slice(0, 5000).map((i) => i.input),
        ...(input === undefined ? [] : [JSON.stringify(await jsonFile(invocation, input))]),
      ];
      return benchPolicy(bench, source, {
        entrypoints,
        inputs,
        document: await domainDocument(invocation),
        budgetMs: positive(invocation, 'budget') ?? DEFAULT_BUDGET_MS,
        rounds: positive(invocation, 'rounds') ?? DEFAULT_ROUNDS,
        growth: growthOf(invocation),
      });
    }),
};

function growthOf({ options }: Invocation): { readonly inputPath: InputPath; readonly dataPath: InputPath } | undefined {
  const path = (name: string, otherwise: string): InputPath => {
    const text = options.string(name) ?? otherwise;
    const parsed = parsePath(text);
    if (parsed !== undefined) return parsed;
    throw new ConfigurationError({
      message: `--${name} is ${JSON.stringify(text)}.`,
      expected: 'keys with dots between, array places as [n], e.g. fleet.pools',
    });
  };
  const paths = {
    inputPath: path('growth-input', DEFAULT_GROWTH_INPUT),
    dataPath: path('growth-data', DEFAULT_GROWTH_DATA),
  };
  return options.boolean('growth') ? paths : undefined;
}
