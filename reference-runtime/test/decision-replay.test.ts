// The runtime's decisions against OPA's own, and its status against the drift gate: the fleet of examples/fleet, requests over HTTP, the
// decision log evaluated again by the real opa on the same bundle.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { resolveTool } from '../../src/tools/resolve.ts';
import { runCli } from '../../test/support/cli.ts';
import { SHIPPED_MODEL } from '../src/config/dev.ts';
import type { PoolConfig } from '../src/config/types.ts';
import { mulberry32 } from '../src/gguf/random.ts';
import { reloadPolicy } from '../src/server/reload-policy.ts';
import { wholeLines } from './support/lines.ts';
import { temporary } from './support/models.ts';
import { startServer, type TestServer } from './support/server.ts';
import { type Stub, startStub, streaming } from './support/stub.ts';

const FLEET = fileURLToPath(new URL('../../examples/fleet', import.meta.url));
const dir = temporary();
const log = dir.file('decisions.ndjson');
const archive = dir.file('routing.tar.gz');
const REVISION = '2026.01.2';
let opa: string;
let server: TestServer;
let stub: Stub;

interface FleetData {
  fleet: {
    clusters: Record<string, { region: string; jurisdiction: string; trust_zone: string }>;
    pools: Record<string, { cluster: string; accelerator: 'cpu' | 'gpu'; model: string; version: string; cost_per_mtok: number }>;
  };
  tenants: Record<string, { workloads: string[] }>;
}
const data = JSON.parse(readFileSync(join(FLEET, 'policies/routing/data.json'), 'utf8')) as FleetData;

const build = (revision: string): void => {
  const args = ['build', '-t', 'wasm', '-e', 'routing/decision', '-b', '--ignore', '*_test.rego', '--revision', revision];
  execFileSync(opa, [...args, '-o', archive, join(FLEET, 'policies/routing')]);
};
const sha256 = (text: string): string => execFileSync('sha256sum', { input: text, encoding: 'utf8' }).slice(0, 64);
const workloads = Object.entries(data.tenants).flatMap(([tenant, { workloads: list }]) =>
  list.map((workload) => ({ tenant, workload, token: `token-${workload.replaceAll(/\W/g, '-')}` })),
);

beforeAll(async () => {
  opa = (await resolveTool('opa')).path;
  build(REVISION);
  stub = await startStub(streaming());
  const pools = Object.entries(data.fleet.pools).map(([id, pool], index): PoolConfig => {
    const { region, jurisdiction, trust_zone } = data.fleet.clusters[pool.cluster]!;
    return {
      ...{ ...pool, id, region, jurisdiction, trust_zone, warm: true, p95_ms: 100, queue: 0, saturation: (index * 0.37) % 1 },
      engine: id === 'eu-west-cpu' ? 'local' : { url: stub.url, retries: 0 },
    };
  });
  server = await startServer(SHIPPED_MODEL, (config) => {
    config.policy = { sources: [{ name: 'file', bundle: archive }], entrypoint: 'routing/decision', pollSeconds: 0 };
    config.identity = { tokens: workloads.map(({ token, ...who }) => ({ ...who, sha256: sha256(token) })) };
    config.tenants = { default: {} };
    config.pools = pools;
    config.flags = { allow_degraded: true };
    config.telemetry.decisionLog = { file: log, mask: [] };
  });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await stub?.[Symbol.asyncDispose]();
  dir.remove();
});

interface Line {
  decision_id: string;
  path: string;
  bundles: { routing: { revision: string } };
  input: unknown;
  result?: { allow: boolean };
  nd_builtin_cache?: unknown;
}

it('every decision in the log is the one that OPA makes of the same input', async () => {
  const random = mulberry32(7);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const answers = new Map<number, number>();
  for (let request = 0; request < 160; request++) {
    const headers: Record<string, string> = { authorization: `Bearer ${pick(workloads).token}` };
    const say = (name: string, values: readonly (string | undefined)[]): void => {
      const value = pick(values);
      if (value !== undefined) headers[`x-mixgate-${name}`] = value;
    };
    say('data-class', ['public', 'internal', 'restricted', 'public', 'confidentiel', undefined]);
    say('origin-region', ['eu-west-1', 'eu-central-1', 'us-east-1', 'ap-south-1', 'mars']);
    say('priority', ['normal', 'low', 'high', 'normal', undefined]);
    say('task', ['chat', 'extract', undefined]);
    say('session', ['s1', undefined]);
    const body = {
      model: pick(['mixtral-micro', 'mixtral-micro', 'mixtral-8x7b-instruct', 'mixtral-8x7b-base']),
      prompt: 'x'.repeat(Math.floor(random() * 200)),
      max_tokens: pick([1, 2, 3, 4, 100_000]),
      user: pick(['ada', 'Zo\u00eb \ud83d\ude00', '"</script>', undefined]),
    };
    const { status } = await server.post('/v1/completions', body, headers);
    answers.set(status, (answers.get(status) ?? 0) + 1);
  }
  // Both kinds of decision are among them.
  expect(answers.get(200)).toBeGreaterThan(15);
  expect(answers.get(403)).toBeGreaterThan(15);
  const decided = [...answers].filter(([status]) => status !== 404).reduce((sum, [, count]) => sum + count, 0);
  await expect.poll(() => wholeLines<Line>(log).length, { timeout: 10_000 }).toBe(decided);
  const lines = wholeLines<Line>(log);

  // OPA's own evaluator on the sources, and not the WebAssembly that is judged here.
  const bundle = dir.file('rego.tar.gz');
  execFileSync(opa, ['build', '-b', '--ignore', '*_test.rego', '-o', bundle, join(FLEET, 'policies/routing')]);
  const inputs = dir.file('inputs');
  mkdirSync(inputs);
  for (const { decision_id, input } of lines) writeFileSync(join(inputs, `${decision_id}.json`), JSON.stringify(input));
  const said = execFileSync(opa, ['exec', '--decision', 'routing/decision', '--bundle', bundle, inputs], {
    encoding: 'utf8',
    maxBuffer: 64 * 2 ** 20,
  });
  const { result: decisions } = JSON.parse(said) as { result: Array<{ path: string; result?: unknown }> };
  const byOpa = new Map(decisions.map(({ path, result }) => [basename(path, '.json'), result]));
  expect(byOpa.size).toBe(lines.length);
  for (const { decision_id, result } of lines) expect(result).toEqual(byOpa.get(decision_id));
  expect(new Set(lines.map(({ path, bundles }) => `${path} ${bundles.routing.revision}`))).toEqual(
    new Set([`routing/decision ${REVISION}`]),
  );
});

it('the drift gate reads the status of a running runtime, and sees when it runs another revision', async () => {
  const fleet = dir.file('fleet');
  cpSync(FLEET, fleet, { recursive: true });
  execFileSync('git', ['init', '--quiet', fleet]);
  const live = join(fleet, 'live/eu-west.yaml');
  const snapshot = readFileSync(live, 'utf8');
  const drift = async (): Promise<{ verdict: string; findings: Array<{ ruleId: string; message: string }> }> => {
    const status = await (await server.get('/v1/status', { authorization: `Bearer ${workloads[0]?.token}` })).text();
    const engine = snapshot.replace(/(?<=^ {2}- instance: opa-0\n)[\s\S]*?(?=^---$)/m, `    status: ${status}\n`);
    expect(engine).not.toBe(snapshot);
    writeFileSync(live, engine);
    const env = { MIXGATE_NOW: '2026-01-15T07:00:00Z' };
    const { stdout, stderr } = await runCli(['-C', fleet, 'drift', '--format', 'json', '--quiet'], { env });
    expect(stderr).toBe('');
    return JSON.parse(stdout) as Awaited<ReturnType<typeof drift>>;
  };
  expect(await drift()).toMatchObject({ verdict: 'pass', findings: [] });
  build('2026.01.3');
  expect(await reloadPolicy(server.runtime)).toBe('changed');
  const { verdict, findings } = await drift();
  expect([verdict, findings]).toEqual([
    'fail',
    [
      expect.objectContaining({
        message: expect.stringMatching(/mixgate-runtime\/\S+ runs revision 2026\.01\.3 .*Git says 2026\.01\.2/),
      }),
    ],
  ]);
});
