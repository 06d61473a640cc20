import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseYaml } from '../../src/config/document.ts';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { refPath, walkTerms } from '../../src/policy/ast.ts';
import { evaluatePolicy, provePolicy, testPolicy } from '../../src/policy/operations.ts';
import { loadPolicySource, type PolicySource } from '../../src/rego/source.ts';
import { links } from '../docs/support.ts';
import { ROOT } from '../support/cli.ts';
import { domainDocument, memoryTree, testBench } from './support.ts';

const HEADINGS = ['What it decides', 'Data it reads', 'How to adapt it', 'Invariants', 'Tests'];
const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const files = (pattern: string): string[] => globSync(pattern, { cwd: ROOT }).sort();
const MODULES = files('policies/{routing,promotion}/*.rego').filter((file) => !file.endsWith('_test.rego'));
const INVARIANTS = files('policies/{invariants,promotion-invariants}/*.rego');
const pageOf = (file: string): string => `docs/policies/${basename(file, '.rego')}.md`;

const bench = await testBench();
const asts = await bench.opa.parse(new Map(MODULES.map((file) => [file, text(file)])));

/** The annotations in front of the package (OPA documentation, "Annotations"): a YAML document in comments. */
function metadata(file: string): Json {
  const block = /^# METADATA\n(?<yaml>(?:#.*\n)+)package /.exec(text(file))?.groups?.['yaml'];
  return block === undefined ? {} : parseYaml(block.replaceAll(/^# ?/gm, ''), file).value;
}

test('the library has the modules that its pages are about', () => {
  expect(MODULES.length).toBeGreaterThan(10);
  expect(INVARIANTS.length).toBeGreaterThan(10);
  expect(files('docs/policies/*.md').filter((page) => !MODULES.some((file) => pageOf(file) === page))).toEqual([]);
});

describe.each([...MODULES, ...INVARIANTS])('%s', (file) => {
  test('says in METADATA what it is', () => {
    expect(metadata(file)).toMatchObject({ title: expect.stringMatching(/\S/), description: expect.stringMatching(/\S/) });
  });
});

describe.each(MODULES)('%s', (file) => {
  test('has a test file with tests', () => {
    expect(text(file.replace(/\.rego$/, '_test.rego'))).toMatch(/^test_\w+ if/m);
  });
  test('has a page with the fixed headings, and something below each', () => {
    const [title, ...sections] = text(pageOf(file)).split(/^## /m);
    expect(title).toMatch(/^# \S+\n/);
    expect(sections.map((section) => section.split('\n', 1)[0])).toEqual(HEADINGS);
    for (const section of sections) expect(section.split('\n').slice(1).join('').trim()).not.toBe('');
  });
  test('has a page that names every path of input and data that it reads, and its own tests', () => {
    const read = new Set<string>();
    walkTerms(asts.get(file)?.rules, (term) => {
      const ref = term.type === 'ref' ? refPath(term) : undefined;
      if (ref?.head === 'data' || ref?.head === 'input') read.add([ref.head, ...ref.path].join('.'));
    });
    const page = text(pageOf(file));
    expect([...read].filter((path) => !page.includes(`| \`${path}\` |`))).toEqual([]);
    expect(page).toContain(`${basename(file, '.rego')}_test.rego)`);
  });
});

test('every invariant module is named by the page of a module that it guards', () => {
  const named = new Set(MODULES.flatMap((file) => links(text(pageOf(file)))).map((target) => basename(target)));
  const guards = new Set(MODULES.flatMap((file) => links(text(pageOf(file)))).filter((target) => target.includes('invariants/')));
  expect(INVARIANTS.filter((file) => !named.has(basename(file)))).toEqual([]);
  expect([...guards].filter((target) => !existsSync(join(ROOT, 'docs/policies', target)))).toEqual([]);
});

test('the fleet of the examples runs the text of the library; only its data differs', () => {
  const shared = files('policies/{routing,promotion,invariants,promotion-invariants}/*.rego');
  expect(files('examples/fleet/policies/**/*.rego')).toEqual(shared.map((file) => `examples/fleet/${file}`));
  for (const file of [...shared, 'policies/domain.yaml', 'policies/promotion-domain.yaml'])
    expect(text(`examples/fleet/${file}`), file).toBe(text(file));
});

const shipped = (data: string): Promise<PolicySource> =>
  loadPolicySource(
    memoryTree({
      ...Object.fromEntries(files('policies/{routing,invariants}/*.rego').map((file) => [file, text(file)])),
      'policies/routing/data.json': data,
    }),
    { roots: ['policies/routing'], invariants: 'policies/invariants' },
  );
const prove = async (
  data: string,
  document: ReturnType<typeof domainDocument>,
): Promise<Awaited<ReturnType<typeof provePolicy>>> => {
  const source = await shipped(data);
  return provePolicy(bench, source, {
    entrypoint: 'routing/decision',
    document,
    invariants: source.invariants,
    folder: 'policies/invariants',
    maxPoints: 1_000_000,
  });
};

// Another company: three clusters in other jurisdictions, other tenants and models; the names of the classes stay, the invariants know them.
const OTHER: JsonObject = {
  fleet: {
    clusters: {
      'gru-1': { region: 'br-south', jurisdiction: 'BR', trust_zone: 'bank' },
      'gru-2': { region: 'br-south', jurisdiction: 'BR', trust_zone: 'shared' },
      'yyz-1': { region: 'ca-central', jurisdiction: 'CA', trust_zone: 'bank' },
    },
    pools: {
      'bank-br': { cluster: 'gru-1', accelerator: 'gpu', model: 'ledger-moe', version: '3.0.0', cost_per_mtok: 0.9 },
      'bank-br-spare': { cluster: 'gru-1', accelerator: 'gpu', model: 'ledger-moe', version: '3.0.0', cost_per_mtok: 1.2 },
      'shared-br': { cluster: 'gru-2', accelerator: 'gpu', model: 'ledger-moe', version: '3.0.0', cost_per_mtok: 0.2 },
      'bank-ca': { cluster: 'yyz-1', accelerator: 'gpu', model: 'ledger-moe', version: '3.1.0', cost_per_mtok: 0.4 },
    },
  },
  tenants: {
    banco: {
      workloads: ['wl/teller'],
      models: ['ledger-moe'],
      data_classes: ['public', 'restricted'],
      jurisdictions: ['BR', 'CA'],
      trust_zones: ['bank'],
      quota: { tokens_per_request: 1000 },
      max_priority: 'high',
      trace: true,
    },
    clinic: {
      workloads: ['wl/desk'],
      models: ['ledger-moe'],
      data_classes: ['public'],
      jurisdictions: ['BR'],
      trust_zones: ['shared'],
      quota: { tokens_per_request: 500 },
      max_priority: 'low',
      trace: false,
    },
  },
  models: { 'ledger-moe': { versions: { '3.0.0': 'live', '3.1.0': 'live' }, accelerators: ['gpu'] } },
  residency: { classes: { public: 'any', restricted: 'origin' }, regions: { 'br-south': 'BR', 'ca-central': 'CA' } },
  limits: { saturation: 0.7, queue: 8, p95_ms: 800, burn_rate: 2, budget_left: 0.1, fallbacks: 1, servable: ['live'] },
};
const REQUEST = {
  id: 'r',
  tenant: 'banco',
  workload_identity: 'wl/teller',
  data_class: 'restricted',
  origin_region: 'br-south',
  model: 'ledger-moe',
  priority: 'low',
  tokens: 400,
};
const POOLS = ['bank-br', 'bank-br-spare', 'shared-br', 'bank-ca'].map((id) => ({
  id,
  saturation: 0.1,
  queue: 0,
  p95_ms: 300,
  warm: true,
}));
const INPUT = { request: REQUEST, fleet: { pools: POOLS }, slo: { burn_rate: 1, budget_left: 0.5 }, flags: {} };

describe('a copy for another fleet, of which only the data was edited', () => {
  const open = { ...REQUEST, data_class: 'public' };
  test.each<[string, Json, JsonObject]>([
    [
      'restricted data stays in the jurisdiction and zone of the bank',
      INPUT,
      { allow: true, rule: 'primary', target: { pool: 'bank-br' }, fallbacks: [{ pool: 'bank-br-spare' }], trace: false },
    ],
    [
      'from Canada it stays there',
      { ...INPUT, request: { ...REQUEST, origin_region: 'ca-central' } },
      { allow: true, target: { cluster: 'yyz-1', pool: 'bank-ca', version: '3.1.0' }, fallbacks: [] },
    ],
    [
      'public data goes where it is cheapest',
      { ...INPUT, request: open },
      { allow: true, target: { pool: 'shared-br' }, fallbacks: [{ pool: 'bank-ca' }], trace: true },
    ],
    [
      'the clinic did not buy that class',
      { ...INPUT, request: { ...REQUEST, tenant: 'clinic', workload_identity: 'wl/desk' } },
      { allow: false, rule: 'residency', reasons: ['DATA_CLASS_NOT_ENTITLED'] },
    ],
    [
      'its own quota',
      { ...INPUT, request: { ...open, tenant: 'clinic', workload_identity: 'wl/desk', tokens: 501 } },
      { allow: false, rule: 'tenancy', reasons: ['QUOTA_EXCEEDED'] },
    ],
    [
      'its own limit of the budget',
      { ...INPUT, slo: { burn_rate: 1, budget_left: 0.1 } },
      { allow: false, rule: 'shed', reasons: ['ERROR_BUDGET_SPENT'] },
    ],
  ])('%s', async (_name, input, decision) => {
    const gate = await evaluatePolicy(bench, await shipped(JSON.stringify(OTHER)), 'routing/decision', input);
    expect(gate.facts?.['decision']).toMatchObject(decision);
  });

  test('keeps the invariants, on every point of its own domain', async () => {
    const document = domainDocument({
      base: INPUT,
      vary: {
        'request.tenant': ['banco', 'clinic', { unknown: true }, { absent: true }],
        'request.workload_identity': ['wl/teller', 'wl/desk'],
        'request.data_class': ['public', 'restricted', { unknown: true }],
        'request.origin_region': ['br-south', 'ca-central', { unknown: true }],
        'request.tokens': [400, 501, 1001],
        'fleet.pools[0].saturation': [{ boundaries: true }, 0.1],
        'slo.budget_left': [0.5, { boundaries: true }],
      },
    });
    const proof = await prove(JSON.stringify(OTHER), document);
    expect(proof.verdict).toBe('pass');
    expect(proof.facts?.['proof']).toMatch(/^proved on (\d+) of \1$/);
  });

  test('an edit of the data that breaks an invariant is found', async () => {
    const proof = await prove(
      JSON.stringify(OTHER).replace('"restricted":"origin"', '"restricted":"any"'),
      domainDocument({ base: INPUT, vary: { 'request.tokens': [1, 2] } }),
    );
    expect(proof.findings.map((f) => f.message)).toContainEqual(
      expect.stringContaining('restricted data leaves the jurisdiction it comes from'),
    );
  });
});

test('the shipped data keeps the shipped invariants on the shipped domain', async () => {
  const proof = await prove(text('policies/routing/data.json'), parseYaml(text('policies/domain.yaml'), 'policies/domain.yaml'));
  expect([proof.verdict, proof.facts?.['proof']]).toEqual(['pass', 'proved on 307200 of 307200']);
});

test("the library's own tests reach every definition, and every value of the decision that its domain reaches", async () => {
  const gates = await Promise.all([
    loadPolicySource(memoryTree(Object.fromEntries(files('policies/routing/*').map((file) => [file, text(file)]))), {
      roots: ['policies/routing'],
    }).then((source) =>
      testPolicy(bench, source, undefined, undefined, {
        rules: 100,
        decisions: 100,
        entrypoint: 'routing/decision',
        document: parseYaml(text('policies/domain.yaml'), 'policies/domain.yaml'),
      }),
    ),
    loadPolicySource(memoryTree(Object.fromEntries(files('policies/promotion/*').map((file) => [file, text(file)]))), {
      roots: ['policies/promotion'],
    }).then((source) =>
      testPolicy(bench, source, undefined, undefined, {
        rules: 100,
        decisions: undefined,
        entrypoint: undefined,
        document: undefined,
      }),
    ),
  ]);
  expect(gates.map((gate) => [gate.verdict, gate.findings])).toEqual([
    ['pass', []],
    ['pass', []],
  ]);
});
