import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ran, ROOT, runCli } from '../support/cli.ts';
import { type TestRepo, testRepo } from '../support/repo.ts';

/** Another company's fleet: nothing in it has a name that the shipped one has, but the three classes that the invariants know. */
const ROUTING = {
  fleet: {
    clusters: {
      'gru-1': { region: 'br-south', jurisdiction: 'BR', trust_zone: 'bank' },
      'yyz-1': { region: 'ca-central', jurisdiction: 'CA', trust_zone: 'north' },
    },
    pools: {
      'br-large': { cluster: 'gru-1', accelerator: 'gpu', model: 'ledger-moe', version: '3.0.0', cost_per_mtok: 0.9 },
      'ca-large': { cluster: 'yyz-1', accelerator: 'gpu', model: 'ledger-moe', version: '3.0.0', cost_per_mtok: 0.4 },
      'br-small': { cluster: 'gru-1', accelerator: 'cpu', model: 'ledger-mini', version: '1.2.0', cost_per_mtok: 0.1 },
      'ca-small': { cluster: 'yyz-1', accelerator: 'cpu', model: 'ledger-mini', version: '1.2.0', cost_per_mtok: 0.1 },
    },
  },
  tenants: {
    banco: {
      workloads: ['wl/teller', 'wl/batch'],
      models: ['ledger-moe', 'ledger-mini', 'ledger-one'],
      data_classes: ['public', 'internal', 'restricted', 'sealed'],
      jurisdictions: ['BR'],
      trust_zones: ['bank'],
      quota: { tokens_per_request: 1000, tokens_per_minute: 50_000, max_concurrency: 8 },
      max_priority: 'high',
      trace: true,
      shadow: true,
    },
    clinic: {
      workloads: ['wl/desk'],
      models: ['ledger-moe', 'ledger-mini'],
      data_classes: ['public', 'restricted'],
      jurisdictions: ['CA'],
      trust_zones: ['north'],
      quota: { tokens_per_request: 500, tokens_per_minute: 10_000, max_concurrency: 2 },
      max_priority: 'low',
      trace: false,
    },
  },
  models: {
    'ledger-moe': { versions: { '3.0.0': 'live', '2.9.0': 'gone' }, accelerators: ['gpu'], degrade_to: 'ledger-mini' },
    'ledger-mini': { versions: { '1.2.0': 'trial' }, accelerators: ['cpu'] },
    'ledger-one': { versions: { '1.0.0': 'gone' }, accelerators: ['gpu'] },
  },
  splits: {
    'ledger-mini': {
      stick_to: 'session',
      arms: { south: { weight: 90, pools: ['br-small'] }, north: { weight: 10, pools: ['ca-small'] } },
    },
  },
  shadows: { 'ledger-mini': { pools: ['br-small', 'ca-small'], share: 0.1 } },
  residency: {
    classes: { public: 'any', internal: 'tenant', restricted: 'origin', sealed: 'origin' },
    regions: { 'br-south': 'BR', 'br-north': 'BR', 'ca-central': 'CA' },
  },
  limits: { saturation: 0.7, queue: 8, p95_ms: 800, burn_rate: 2, budget_left: 0.1, fallbacks: 1, servable: ['live', 'trial'] },
};
const PROMOTION = { promotion: { allow_warn: false, max_age_seconds: 3600, sources: { canary: 'mixgate canary judge' } } };
const CONFIG = `version: 1
policy:
  roots: [policies/routing]
  entrypoints: [routing/decision]
  domain: policies/domain.yaml
  invariants: policies/invariants
  coverage: 100
  ruleCoverage: 100
  decisionCoverage: 100
`;

interface Shown {
  readonly verdict: string;
  readonly gates: readonly { readonly facts?: Readonly<Record<string, unknown>> }[];
  readonly findings: readonly { readonly ruleId: string }[];
}
let repo: TestRepo;
beforeAll(() => {
  repo = testRepo();
  cpSync(join(ROOT, 'policies'), join(repo.dir, 'policies'), { recursive: true });
  repo.commit({
    'mixgate.yaml': CONFIG,
    'policies/routing/data.json': JSON.stringify(ROUTING, undefined, 2),
    'policies/promotion/data.json': JSON.stringify(PROMOTION, undefined, 2),
  });
});
afterAll(() => repo[Symbol.dispose]());

const mixgate = (...args: string[]): Promise<Ran> => runCli([...args, '--quiet', '--format', 'json'], { cwd: repo.dir });
const shown = (ran: Ran): Shown => JSON.parse(ran.stdout) as Shown;
const ON = ['--entrypoint', 'routing/decision', '--domain', 'policies/domain.yaml'];
const PROMOTING = ['--entrypoint', 'promotion/decision', '--domain', 'policies/promotion-domain.yaml'];

describe('a copy of the library in a repository of its own, of which only the two data documents were edited', () => {
  test('differs in nothing else', () => {
    const changed = repo
      .git('ls-files', 'policies')
      .split('\n')
      .filter((file) => {
        const original = readFileSync(join(ROOT, file), 'utf8');
        return readFileSync(join(repo.dir, file), 'utf8') !== original;
      });
    expect(changed).toEqual(['policies/promotion/data.json', 'policies/routing/data.json']);
  });
  test.each<[string, string[]]>([
    ['check', ['check', '--base', 'main', '--head', 'main']],
    ['policy check', ['policy', 'check', 'policies/routing']],
    [
      'policy test',
      [
        'policy',
        'test',
        'policies/routing',
        '--threshold',
        '100',
        '--rule-threshold',
        '100',
        '--decision-threshold',
        '100',
        ...ON,
      ],
    ],
    ['policy lint', ['policy', 'lint', 'policies/routing', ...ON]],
    ['policy prove', ['policy', 'prove', 'policies/routing', ...ON, '--invariants', 'policies/invariants']],
    ['policy test of promotion', ['policy', 'test', 'policies/promotion', '--threshold', '100', '--rule-threshold', '100']],
    [
      'policy prove of promotion',
      ['policy', 'prove', 'policies/promotion', ...PROMOTING, '--invariants', 'policies/promotion-invariants'],
    ],
  ])('%s finds nothing', { timeout: 180_000 }, async (_name, args) => {
    const ran = await mixgate(...args);
    expect([ran.code, shown(ran).verdict, shown(ran).findings]).toEqual([0, 'pass', []]);
    const facts = shown(ran).gates[0]?.facts ?? {};
    if (args.includes('prove')) expect(facts['proof']).toMatch(/^proved on (\d+) of \1$/);
  });
  test('what its data says is decided, and an edit of the data that frees a class of its own is found', async () => {
    const freed = structuredClone(ROUTING);
    freed.residency.classes.restricted = 'any';
    writeFileSync(join(repo.dir, 'freed.json'), JSON.stringify(freed));
    const ran = await mixgate(
      ...['policy', 'prove', 'policies/routing', ...ON, '--invariants', 'policies/invariants', '--data', 'freed.json'],
    );
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain('restricted data leaves the jurisdiction it comes from');
  });
  test('data that is not finished is told by the tests of the data', async () => {
    const broken = structuredClone(ROUTING) as { tenants: { clinic: { quota: object } } };
    broken.tenants.clinic.quota = {};
    writeFileSync(join(repo.dir, 'broken.json'), JSON.stringify(broken));
    const ran = await mixgate('policy', 'test', 'policies/routing', '--data', 'broken.json');
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain('test_data_every_tenant_is_complete');
  });
});
