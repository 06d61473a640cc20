import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Files, tempTree } from '../drift/support/gate.ts';
import { ROOT } from '../support/cli.ts';
import { catalogFiles, catalogOf, MODEL, rules } from './support.ts';

const CONFIG = `version: 1
catalog: {models: [catalog/models/*.yaml], pools: catalog/pools.yaml, flags: catalog/flags.yaml}
policy: {roots: [policies], entrypoints: [routing/decision]}
clusters:
  - {name: us-east, overlay: git, region: us-east-1, jurisdiction: US, trustZone: us}
`;
const FLAGS = `flags:
  - id: new_ranking
    owner: routing
    default: false
    value: true
    expires: "2026-01-16"
  - id: batch_pool
    owner: routing
    default: none
    expires: "2027-01-01"
`;
const POLICY = `package routing

decision := {"allow": true} if input.flags.new_ranking

else := {"allow": false, "pool": input.flags["batch_pool"]}
`;
const files = (flags: string = FLAGS, policy: string = POLICY): Files =>
  catalogFiles({
    'mixgate.yaml': CONFIG,
    'catalog/flags.yaml': flags,
    'policies/decision.rego': policy,
    'policies/decision_test.rego': 'package routing\n\ntest_x if decision with input.flags.only_in_tests as true\n',
  });

// The gate's clock stands at 2026-01-15T08:00:00Z.
describe('feature flags', () => {
  it('that are owned, in force and read pass, and are listed', async () => {
    const result = await catalogOf(files());
    expect([result.verdict, rules(result)]).toEqual(['pass', []]);
    expect(result.reason).toMatch(/feature flags in force: 2$/);
    expect(result.tables?.find(({ title }) => title === 'Feature flags')?.rows).toEqual([
      ['new_ranking', 'true', 'false', 'routing', '2026-01-16', 'in force'],
      ['batch_pool', '"none"', '"none"', 'routing', '2027-01-01', 'in force'],
    ]);
  });

  it.each<[string, Files, string, string, RegExp]>([
    [
      'one that expires today',
      files(FLAGS.replace('01-16', '01-15')),
      'catalog-flag-expired error',
      'catalog/flags.yaml:6',
      /expired on 2026-01-15: runtimes give the policy its default, false/,
    ],
    [
      'one without an owner',
      files(FLAGS.replace('    owner: routing\n', '')),
      'catalog-flag-owner-missing error',
      'catalog/flags.yaml:2',
      /Nobody owns the flag new_ranking/,
    ],
    [
      'an owner of spaces',
      files(FLAGS.replace('owner: routing', 'owner: " "')),
      'catalog-flag-owner-missing error',
      'catalog/flags.yaml:3',
      /Nobody owns/,
    ],
    [
      'a value of another type',
      files(FLAGS.replace('value: true', 'value: 1')),
      'catalog-flag-invalid error',
      'catalog/flags.yaml:5',
      /is a number, its default a boolean/,
    ],
    [
      'the same flag twice',
      files(FLAGS.replace('id: batch_pool', 'id: new_ranking'), POLICY.replace('["batch_pool"]', '.new_ranking')),
      'catalog-flag-invalid error',
      'catalog/flags.yaml:7',
      /listed twice/,
    ],
    [
      'a key that is unknown',
      files(FLAGS.replace('value: true', 'valeu: true')),
      'catalog-flag-invalid error',
      'catalog/flags.yaml:5',
      /valeu/,
    ],
    [
      'a day that is none',
      files(FLAGS.replace('2026-01-16', 'soon')),
      'catalog-flag-invalid error',
      'catalog/flags.yaml:6',
      /expires/,
    ],
    ['no YAML', files('flags: [\n'), 'catalog-flag-invalid error', 'catalog/flags.yaml:2', /not valid YAML/],
    [
      'one that nobody reads',
      files(FLAGS, POLICY.replace('input.flags["batch_pool"]', '1')),
      'catalog-flag-unused warning',
      'catalog/flags.yaml:7',
      /No policy reads the flag batch_pool/,
    ],
  ])('%s is found at its line', async (_name, tree, rule, place, message) => {
    const { findings } = await catalogOf(tree);
    expect(findings.map(({ ruleId, level }) => `${ruleId} ${level}`)).toEqual([rule]);
    const [{ location, message: said }] = findings as [(typeof findings)[number]];
    expect(`${location?.file}:${location?.line}`).toBe(place);
    expect(said).toMatch(message);
  });

  it('that the policy reads and nobody catalogued are found in the policy, with what was meant', async () => {
    const { findings } = await catalogOf(files(FLAGS, POLICY.replace('flags.new_ranking', 'flags.new_rankin')));
    expect(findings.map(({ ruleId }) => ruleId).sort()).toEqual(['catalog-flag-unknown', 'catalog-flag-unused']);
    const unknown = findings.find(({ ruleId }) => ruleId === 'catalog-flag-unknown');
    expect(unknown).toMatchObject({
      location: { file: 'policies/decision.rego', line: 3 },
      message: 'The policy reads input.flags.new_rankin, which catalog/flags.yaml does not list.',
      fix: expect.stringContaining('Did you mean new_ranking?'),
    });
  });

  it('read as a whole are all read', async () => {
    const policy = 'package routing\n\ndecision := {"allow": input.flags[input.request.flag]}\n';
    expect(rules(await catalogOf(files(FLAGS, policy)))).toEqual([]);
  });

  it('without a policy are judged by themselves', async () => {
    const tree = { ...files(FLAGS.replace('01-16', '01-15')), 'mixgate.yaml': CONFIG.replace(/^policy.*\n/m, '') };
    expect(rules(await catalogOf(tree))).toEqual(['catalog-flag-expired error']);
  });

  it('of a folder without a mixgate.yaml are found by the command line', () => {
    using tree = tempTree({ 'm.yaml': MODEL, 'flags.yaml': FLAGS });
    const run = (now: string): string => {
      try {
        const command = [join(ROOT, 'src/cli.ts'), 'catalog', 'check', tree.dir, '--format', 'json'];
        return execFileSync(process.execPath, command, {
          encoding: 'utf8',
          stdio: 'pipe',
          env: { ...process.env, MIXGATE_NOW: now },
        });
      } catch (error) {
        return (error as { stdout: string }).stdout;
      }
    };
    const found = (now: string): string[] =>
      (JSON.parse(run(now)) as { findings: Array<{ ruleId: string }> }).findings.map(({ ruleId }) => ruleId);
    expect(found('2026-01-15T00:00:00Z')).toEqual([]);
    expect(found('2026-01-16T00:00:00Z')).toEqual(['catalog-flag-expired']);
  });
});
