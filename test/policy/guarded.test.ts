import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseYaml } from '../../src/config/document.ts';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { provePolicy } from '../../src/policy/operations.ts';
import { loadPolicySource } from '../../src/rego/source.ts';
import { ROOT } from '../support/cli.ts';
import { domainDocument, memoryTree, testBench } from './support.ts';

const bench = await testBench();
const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const FILES = Object.fromEntries(globSync('policies/{routing,invariants}/*', { cwd: ROOT }).map((file) => [file, text(file)]));
const BASE = (parseYaml(text('policies/domain.yaml'), 'policies/domain.yaml').value as JsonObject)['base']!;

type Edit = readonly [file: string, from: string, to: string];
const IN_EU = { 'request.origin_region': ['eu-west-1'] };
const RESTRICTED = { ...IN_EU, 'request.data_class': ['restricted'] };
const MICRO = { ...RESTRICTED, 'request.model': ['mixtral-micro'] };
/** The tenant of the EU that agreed to copies. */
const AGREED = {
  ...MICRO,
  'request.tenant': ['nordbank'],
  'request.workload_identity': ['spiffe://fleet.example/ns/nordbank/sa/advisor'],
};
const ANY_POOL: Edit = [
  'split',
  'best := [rank | some rank in ranked; rank[2] in entry.pools][0]',
  'best := [count(ranked), 0, entry.pools[0]]',
];
const ANY_COPY: Edit = [
  'shadow',
  'sort([entry.rank |\n\t\tsome entry in capacity.candidates\n\t\tentry.room\n\t\tentry.rank[2] in rules.pools\n\t\tentry.rank[2] != target\n\t])[0]',
  '[0, 0, "us-east-cpu-next"]',
];
const nobody: readonly Json[] = [{ absent: true }];

/** Edits of the library, inputs on which they show, and what the invariants say about them. */
const BROKEN: readonly (readonly [says: string, edits: readonly Edit[], vary: { readonly [path: string]: readonly Json[] }])[] = [
  ['a cold pool is the target', [['capacity', '\tstate.warm == true\n', '']], { 'fleet.pools[1].warm': [false] }],
  [
    'a pool with a full queue is the target',
    [['capacity', '\tstate.queue < data.limits.queue\n', '']],
    { 'fleet.pools[1].queue': [64] },
  ],
  [
    'a pool above the saturation limit is the target of an answer that is not queued',
    [['capacity', 'default room(_) := false', 'default room(_) := true']],
    { 'fleet.pools[1].saturation': [0.85] },
  ],
  [
    'a dearer pool comes before a cheaper one that is quick enough',
    [['cost', '[0, pool.cost_per_mtok', '[0, 0 - pool.cost_per_mtok']],
    { 'request.tokens': [1] },
  ],
  [
    'a slower pool comes first while the error budget burns',
    [['slo', 'input.slo.burn_rate > data', 'input.slo.burn_rate < data']],
    { 'slo.burn_rate': [6], 'fleet.pools[1].p95_ms': [2500] },
  ],
  [
    'a pool beyond the latency target comes before one within it',
    [['cost', '[1, state.p95_ms', '[-1, state.p95_ms']],
    { 'fleet.pools[1].p95_ms': [2501] },
  ],
  ['a refusal names no reason', [['decision', '{"NO_CAPACITY"}', 'set()']], { 'request.data_class': ['restricted'] }],
  [
    'there is no decision',
    [['decision', 'else := refused("capacity", {"NO_CAPACITY"})', '']],
    { 'request.data_class': ['restricted'] },
  ],
  ['an answer has no target pool', [['decision', 'capacity.target(ranked[0])', '{"pool": "mars"}']], { 'request.tokens': [1] }],
  [
    "another model answers without the caller's leave",
    [['fallback', ' if input.flags.allow_degraded == true', '']],
    { ...RESTRICTED, 'fleet.pools[0].saturation': [0.9], 'flags.allow_degraded': nobody },
  ],
  [
    'another model answers than the one that may stand in',
    [['fallback', 'data.models[input.request.model].degrade_to', '"mixtral-8x7b-instruct"']],
    { ...MICRO, 'fleet.pools[3].saturation': [0.9], 'fleet.pools[6].saturation': [0.9] },
  ],
  ['a pool is its own fallback', [['fallback', 'slice(ranked, 1,', 'slice(ranked, 0,']], { 'request.tokens': [1] }],
  [
    'there are more fallbacks than the limit',
    [
      ['fallback', '1 + data.limits.fallbacks', '9'],
      ['data', '"fallbacks": 2', '"fallbacks": 1'],
    ],
    { 'request.tokens': [1] },
  ],
  ['a fallback has another model than the target', [['capacity', '\tentry.model == input.request.model\n', '']], RESTRICTED],
  [
    'a request without a text that it must carry is served',
    [['intake', '\t"REQUEST_ID_MISSING",\n', '']],
    { 'request.id': nobody },
  ],
  ['a request without a size is served', [['intake', '\tinput.request.tokens > 0\n', '']], { 'request.tokens': [0] }],
  [
    'a request is served without the state of the error budget',
    [['intake', '\t"BURN_RATE_MISSING",\n', '']],
    { 'slo.burn_rate': nobody },
  ],
  [
    'a version that takes no traffic is a target',
    [
      ['lifecycle', ' in data.limits.servable', ''],
      [
        'data',
        '"mixtral-8x7b-instruct": { "versions": { "1.0.0": "production" }',
        '"mixtral-8x7b-instruct": { "versions": { "1.0.0": "gone" }',
      ],
    ],
    { 'request.tokens': [1] },
  ],
  [
    'a model is served on an accelerator that it does not name',
    [
      ['capacity', '\tlifecycle.runs_on(pool.model, pool.accelerator)\n', ''],
      ['data', '"accelerators": ["gpu"]', '"accelerators": ["tpu"]'],
    ],
    { 'request.tokens': [1] },
  ],
  [
    'a target names another model or version than its pool runs',
    [['capacity', '"version": pool.version', '"version": "9"']],
    { 'request.tokens': [1] },
  ],
  [
    "a request above the tenant's quota is served",
    [['quota', 'within if input.request.tokens <= ', 'within if input.request.tokens >= ']],
    { 'request.tokens': [100_000] },
  ],
  [
    "an answer carries another quota than the tenant's",
    [['quota', 'granted := tenancy.tenant.quota', 'granted := {}']],
    { 'request.tokens': [1] },
  ],
  [
    'restricted data leaves the jurisdiction it comes from',
    [['residency', '\tcluster.jurisdiction == origin\n', '']],
    { 'request.data_class': ['restricted'] },
  ],
  [
    'data of a class that is bound to its origin leaves the jurisdiction it comes from',
    [['residency', '\tcluster.jurisdiction == origin\n', '']],
    { 'request.data_class': ['restricted'] },
  ],
  [
    'restricted data with origin EU is served outside the EU',
    [['residency', 'scope == "any"', 'scope in {"any", "origin"}']],
    RESTRICTED,
  ],
  [
    'a fallback of restricted data leaves the jurisdiction it comes from',
    [['residency', 'scope == "any"', 'scope in {"any", "origin"}']],
    RESTRICTED,
  ],
  [
    'a fallback is in another trust zone than the target',
    [['residency', 'scope == "any"', 'scope in {"any", "tenant"}']],
    { 'request.data_class': ['internal'] },
  ],
  [
    'a request from an unknown region is served',
    [['residency', 'problems contains "ORIGIN_UNKNOWN" if not origin', '']],
    { 'request.origin_region': ['moon'] },
  ],
  [
    'restricted data is traced',
    [['residency', '\tscope != "origin"\n', '']],
    {
      ...RESTRICTED,
      'request.tenant': ['nordbank'],
      'request.workload_identity': ['spiffe://fleet.example/ns/nordbank/sa/advisor'],
    },
  ],
  [
    'a request of low priority is served while the error budget is spent',
    [['slo', 'tenancy.priority == "low"', 'tenancy.priority == "high"']],
    { 'slo.budget_left': [0], 'request.priority': ['low'] },
  ],
  [
    'a request of high priority is shed',
    [['slo', 'tenancy.priority == "low"', 'tenancy.priority == "high"']],
    { 'slo.budget_left': [0], 'request.priority': ['high'] },
  ],
  [
    'a request is shed although the error budget is left',
    [['slo', 'budget_left <= data', 'budget_left >= data']],
    { 'request.priority': ['low'] },
  ],
  [
    'a workload speaks for a tenant it does not belong to',
    [['tenancy', 'problems contains "WORKLOAD_NOT_OF_TENANT" if {\n\ttenant\n\tnot workload_known\n}\n', '']],
    { 'request.workload_identity': ['wl'] },
  ],
  [
    'a model that the tenant did not buy is served',
    [
      ['tenancy', 'problems contains "MODEL_NOT_ENTITLED" if {\n\ttenant\n\tnot model_entitled\n}\n', ''],
      [
        'data',
        '"models": ["mixtral-8x7b-instruct", "mixtral-micro"],\n      "data_classes": ["public", "internal", "restricted"]',
        '"models": [],\n      "data_classes": ["public"]',
      ],
    ],
    { 'request.model': ['mixtral-micro'] },
  ],
  [
    "internal or restricted data leaves the tenant's trust zones",
    [
      ['residency', '\tcluster.trust_zone in tenancy.tenant.trust_zones\n', ''],
      ['data', '"jurisdiction": "EU", "trust_zone": "eu"', '"jurisdiction": "EU", "trust_zone": "partner"'],
    ],
    RESTRICTED,
  ],
  [
    "data of a class with a scope leaves the tenant's jurisdictions",
    [
      ['residency', '\tcluster.jurisdiction in tenancy.tenant.jurisdictions\n', ''],
      ['data', '"trust_zone": "ap"', '"trust_zone": "eu"'],
    ],
    { 'request.data_class': ['internal'] },
  ],
  [
    'a tenant of the lowest priority gets a higher one',
    [['tenancy', 'rank[input.request.priority] <= rank', 'rank[input.request.priority] >= rank']],
    {
      'request.tenant': ['initech'],
      'request.workload_identity': ['spiffe://fleet.example/ns/initech/sa/tools'],
      'request.priority': ['high'],
    },
  ],
  ['an arm of restricted data leaves the jurisdiction it comes from', [ANY_POOL], MICRO],
  [
    "an arm of internal or restricted data leaves the tenant's trust zones",
    [ANY_POOL],
    { ...MICRO, 'request.data_class': ['internal'] },
  ],
  [
    'a split has a single arm',
    [
      ['split', 'count(list) > 1', 'count(list) > 0'],
      ['data', '"weight": 0, "pools": ["us-east-cpu-next", "eu-west-cpu-next", "ap-south-cpu-next"]', '"weight": 0, "pools": []'],
    ],
    MICRO,
  ],
  [
    'the arms of a split run several models',
    [['split', '"target": capacity.target(best)', '"target": object.union(capacity.target(best), {"model": name})']],
    MICRO,
  ],
  ['a copy of restricted data leaves the jurisdiction it comes from', [ANY_COPY], AGREED],
  [
    "a copy of internal or restricted data leaves the tenant's trust zones",
    [ANY_COPY],
    { ...AGREED, 'request.data_class': ['internal'] },
  ],
  ['a request is copied for a tenant that did not agree', [['shadow', 'tenancy.tenant.shadow', 'tenancy.tenant.quota']], MICRO],
  [
    'a copy goes to the pool that answers',
    [
      ['shadow', '\t\tentry.rank[2] != target\n', ''],
      [
        'data',
        '"mixtral-micro": { "pools": ["us-east-cpu-next", "eu-west-cpu-next", "ap-south-cpu-next"]',
        '"mixtral-micro": { "pools": ["eu-west-cpu"]',
      ],
    ],
    AGREED,
  ],
  [
    'an unknown tenant is served',
    [
      [
        'tenancy',
        'tenant := data.tenants[input.request.tenant]',
        'tenant := object.get(data.tenants, input.request.tenant, data.tenants.globex)',
      ],
    ],
    { 'request.tenant': ['umbrella'], 'request.workload_identity': ['spiffe://fleet.example/ns/globex/sa/web'] },
  ],
];

describe('every invariant of the library has an edit of its modules that breaks it', () => {
  test('none is left out', () => {
    const declared = Object.entries(FILES).flatMap(([file, rego]) =>
      file.startsWith('policies/invariants/') ? [...rego.matchAll(/^violation contains "(.+)" if/gm)].map((m) => m[1]!) : [],
    );
    expect(new Set(BROKEN.map(([says]) => says))).toEqual(new Set(declared));
  });
  test.each(BROKEN)('%s', async (says, edits, vary) => {
    const files = { ...FILES };
    for (const [name, from, to] of edits) {
      const file = `policies/routing/${name === 'data' ? 'data.json' : `${name}.rego`}`;
      expect(files[file]).toContain(from);
      files[file] = files[file]!.replace(from, to);
    }
    const source = await loadPolicySource(memoryTree(files), { roots: ['policies/routing'], invariants: 'policies/invariants' });
    const gate = await provePolicy(bench, source, {
      entrypoint: 'routing/decision',
      document: domainDocument({ base: BASE, vary }),
      invariants: source.invariants,
      folder: 'policies/invariants',
      maxPoints: 1000,
    });
    expect(gate.findings.map((f) => f.message).join('\n')).toContain(says);
  });
});
