import { describe, expect, it } from 'vitest';
import type { Files } from '../drift/support/gate.ts';
import { catalogFiles, catalogOf } from './support.ts';

describe('prices of pools', () => {
  const pools = (asOf: string, more = ''): Files =>
    catalogFiles({
      'catalog/pools.yaml': `pools:
  - id: us-east-gpu
    cluster: us-east
    accelerator: gpu
    memory: 80GiB
    price: {currency: EUR, asOf: "${asOf}", perMtokInput: 0.5, perMtokOutput: 1.5${more}}
`,
    });

  it.each([
    ['2026-01-15', '', []],
    ['2025-10-17', '', []],
    ['2025-10-16', '', ['The price of pool us-east-gpu is 91 days old, more than 90.']],
    ['2025-12-01', ', maxAgeDays: 30', ['The price of pool us-east-gpu is 45 days old, more than 30.']],
    ['2026-02-01', '', ['The price of pool us-east-gpu was looked up on 2026-02-01, which lies ahead.']],
  ])('of %s%s', async (asOf, more, messages) => {
    const { findings } = await catalogOf(pools(asOf, more));
    expect(findings.map(({ message }) => message)).toEqual(messages);
    for (const { ruleId, level, location } of findings)
      expect([ruleId, level, location?.line]).toEqual(['catalog-price-stale', 'warning', 6]);
  });
});

describe('prices and what the policy ranks by', () => {
  const CONFIG = `version: 1
catalog: {models: [catalog/models/*.yaml], pools: catalog/pools.yaml}
policy: {roots: [policies], entrypoints: [routing/decision]}
clusters:
  - {name: us-east, overlay: git, region: us-east-1, jurisdiction: US, trustZone: us}
`;
  /** Pools as [id, prompt price, answer price, currency]. */
  const pools = (...all: readonly (readonly [string, number, number, string?])[]): string =>
    `pools:\n${all
      .map(
        ([id, input, output, currency = 'EUR']) =>
          `  - {id: ${id}, cluster: us-east, accelerator: gpu, memory: 80GiB,\n     price: {currency: ${currency}, asOf: "2026-01-10", perMtokInput: ${input}, perMtokOutput: ${output}}}\n`,
      )
      .join('')}`;
  /** One pool a line, from the fifth on. */
  const data = (costs: { readonly [pool: string]: number }, model: (pool: string) => string = () => 'm'): string =>
    `{\n  "limits": {},\n  "fleet": {\n    "pools": {\n${Object.entries(costs)
      .map(([pool, cost]) => `      "${pool}": {"model": "${model(pool)}", "cost_per_mtok": ${cost}}`)
      .join(',\n')}\n    }\n  }\n}\n`;
  const files = (catalogue: string, policyData: string, over: Files = {}): Files =>
    catalogFiles({
      'mixgate.yaml': CONFIG,
      'catalog/pools.yaml': catalogue,
      'policies/p.rego': 'package routing\n\ndecision := true\n',
      'policies/data.json': policyData,
      ...over,
    });
  const A = 'us-east-gpu';

  it.each<[string, string, string]>([
    ['a cost at the lower price', pools([A, 0.5, 1.5]), data({ [A]: 0.5 })],
    ['a cost at the higher price', pools([A, 0.5, 1.5]), data({ [A]: 1.5 })],
    ['answers that are cheaper than prompts', pools([A, 1.5, 0.5]), data({ [A]: 1 })],
    ['a pool that the policy does not have', pools([A, 0.5, 1.5]), data({ other: 9 })],
    ['pools in the order of their prices', pools([A, 0.5, 1.5], ['b', 0.6, 1.6]), data({ [A]: 0.8, b: 0.9 })],
    ['prices that cross', pools([A, 0.5, 1.5], ['b', 0.6, 1.4]), data({ [A]: 0.9, b: 0.8 })],
    ['equal prices', pools([A, 0.5, 1.5], ['b', 0.5, 1.5]), data({ [A]: 0.9, b: 0.8 })],
    [
      'another order of pools of different models',
      pools([A, 0.5, 1.5], ['b', 0.6, 1.6]),
      data({ [A]: 0.9, b: 0.8 }, (pool) => `model-${pool}`),
    ],
    ['several currencies', pools([A, 0.5, 1.5], ['b', 0.6, 1.6, 'USD']), data({ [A]: 9, b: 0.8 })],
    ['data that is no JSON, which is the policy gate’s finding', pools([A, 0.5, 1.5]), '{"fleet": '],
  ])('%s is no contradiction', async (_name, catalogue, policyData) => {
    expect((await catalogOf(files(catalogue, policyData))).findings).toEqual([]);
  });

  it.each<[string, number]>([
    ['below both', 0.49],
    ['above both', 1.51],
  ])('a cost %s prices is found in the data, and points at the catalogue', async (_name, cost) => {
    const result = await catalogOf(files(pools(['b', 0.1, 0.2], [A, 0.5, 1.5]), data({ b: 0.1, [A]: cost })));
    expect(result.verdict).toBe('fail');
    expect(result.findings).toHaveLength(1);
    expect(result.findings[0]).toMatchObject({
      ruleId: 'catalog-price-mismatch',
      level: 'error',
      message: `The policy ranks pool ${A} by ${cost} a million tokens; by the catalogue they cost 0.5 EUR (prompt) and 1.5 EUR (answer).`,
      location: { file: 'policies/data.json', line: 6 },
      related: [{ file: 'catalog/pools.yaml', line: 5 }],
      fix: expect.stringContaining('from 0.5 to 1.5'),
    });
  });

  it('a pool ranked behind one that is dearer is found once, with the places of both', async () => {
    const catalogue = pools([A, 0.5, 1.5], ['b', 0.6, 1.6], ['c', 0.6, 1.6]);
    const { findings } = await catalogOf(files(catalogue, data({ [A]: 1.4, b: 0.8, c: 0.9 })));
    expect(findings.map(({ ruleId, location }) => `${ruleId} ${location?.file}:${location?.line}`)).toEqual([
      'catalog-price-mismatch policies/data.json:5',
    ]);
    expect(findings[0]!.message).toContain(`takes pool ${A} for dearer than b`);
    expect(findings[0]!.related?.map(({ file, line }) => `${file}:${line}`)).toEqual([
      'catalog/pools.yaml:3',
      'catalog/pools.yaml:5',
      'policies/data.json:6',
    ]);
  });

  it.each<[string, Files, string]>([
    [
      'below the folder of its document',
      { 'policies/fleet/data.yaml': `pools:\n  ${A}: {cost_per_mtok: 7}\n` },
      'policies/fleet/data.yaml:2',
    ],
    [
      'in a data file of its own',
      {
        'mixgate.yaml': CONFIG.replace('[routing/decision]', '[routing/decision], data: [fleet.yaml]'),
        'fleet.yaml': `fleet:\n  pools:\n    ${A}: {cost_per_mtok: 7}\n`,
      },
      'fleet.yaml:3',
    ],
  ])('a cost %s is found there', async (_name, over, place) => {
    const { findings } = await catalogOf(files(pools([A, 0.5, 1.5]), '{}', over));
    expect(findings.map(({ ruleId, location }) => `${ruleId} ${location?.file}:${location?.line}`)).toEqual([
      `catalog-price-mismatch ${place}`,
    ]);
  });
});
