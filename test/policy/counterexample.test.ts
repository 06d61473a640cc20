import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { testRepo } from '../support/repo.ts';
import { opaTool } from './support.ts';

const opa = (await opaTool()).path;

/** Restricted data by the pool's country and by its state, each with a rule of its own. */
const policy = (country: string, state: string): string => `package routing

default decision := {"allow": false, "reasons": set()}

decision := {"allow": true, "pool": pool, "reasons": reasons} if some pool in usable

usable contains pool if {
	some pool in input.pools
	${country}
	${state}
}

reasons contains "restricted" if input.class == "restricted"
`;
const COUNTRY = 'allowed_country(pool)';
const HELPER = `
allowed_country(_) if input.class != "restricted"

allowed_country(pool) if pool.country in data.home
`;
const WARM = 'pool.state == "warm"';
const FILES = {
  'policies/routing.rego': policy('true', 'true'),
  'policies/data.json': '{"home": ["EU"]}',
  'policies/routing_test.rego':
    'package routing_test\n\ntest_open if data.routing.decision.allow with input as {"class": "open", "pools": [{"country": "EU", "state": "warm"}]}\n',
  'invariants/i.rego': `package invariants.pools

violation contains "restricted data leaves home" if {
	"restricted" in input.decision.reasons
	not input.decision.pool.country in data.home
}

violation contains "a cold pool serves" if input.decision.pool.state == "cold"
`,
  'domain.yaml': `base:
  class: open
  pools: [{country: EU, state: warm}]
vary:
  class: [open, restricted, {absent: true}]
  "pools[0].country": [EU, US]
  "pools[0].state": [warm, cold]
`,
};

test('the tests of counterexamples, committed, fail under opa test until each defect is corrected', async () => {
  using repo = testRepo(FILES);
  const prove = (): ReturnType<typeof runCli> =>
    runCli(
      [
        ...['policy', 'prove', 'policies', '--entrypoint', 'routing/decision', '--domain', 'domain.yaml'],
        ...['--invariants', 'invariants', '--format', 'json', '--quiet'],
      ],
      { cwd: repo.dir },
    );
  const ran = await prove();
  expect(ran.code).toBe(1);
  const { findings } = JSON.parse(ran.stdout) as { findings: { message: string; evidence: { test: string } }[] };
  expect(findings.map((f) => /restricted data|cold pool/.exec(f.message)?.[0]).sort()).toEqual(['cold pool', 'restricted data']);
  repo.commit(
    Object.fromEntries(findings.map((f, index) => [`policies/counterexample_${index}_test.rego`, f.evidence.test])),
    'paste the counterexamples',
  );

  /** Outcomes of the pasted tests under `opa test`, as a maintainer runs it. */
  const outcomes = async (): Promise<(boolean | undefined)[]> => {
    const { stdout } = await promisify(execFile)(opa, ['test', 'policies', 'invariants', '--format', 'json'], {
      cwd: repo.dir,
    }).catch((error: { stdout: string; code: number }) => error);
    const results = JSON.parse(stdout) as { package: string; fail?: boolean; error?: unknown }[];
    expect(results.filter((r) => r.error !== undefined)).toEqual([]);
    return results.filter((r) => r.package === 'data.routing_counterexample_test').map((r) => r.fail === true);
  };
  expect(await outcomes()).toEqual([true, true]);
  repo.commit({ 'policies/routing.rego': policy('true', WARM) }, 'cold pools do not serve');
  expect((await outcomes()).sort()).toEqual([false, true]);
  repo.commit({ 'policies/routing.rego': policy(COUNTRY, WARM) + HELPER }, 'restricted data stays at home');
  expect(await outcomes()).toEqual([false, false]);
  const fixed = await prove();
  expect([fixed.code, JSON.parse(fixed.stdout).findings]).toEqual([0, []]);
});
