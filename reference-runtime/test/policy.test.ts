import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveTool } from '../../src/tools/resolve.ts';
import { buildDevPolicy } from '../dev-policy/build.ts';
import { devConfig, SHIPPED_BUNDLE, SHIPPED_MODEL } from '../src/config/dev.ts';
import { loadBundle } from '../src/policy/bundle.ts';
import { activate, PolicyError, type PolicyInput } from '../src/policy/policy.ts';
import { policySource } from '../src/policy/source.ts';
import { PolicyStore } from '../src/policy/store.ts';
import { policyProbes } from '../src/server/probes.ts';
import { temporary } from './support/models.ts';

const dir = temporary();
afterAll(dir.remove);
let opa: string;
beforeAll(async () => {
  opa = (await resolveTool('opa')).path;
});

function input(request: Partial<PolicyInput['request']> = {}, pools: object[] = []): PolicyInput {
  return {
    request: { id: 'r', tenant: 'dev', workload_identity: 'w', model: 'm', tokens: 1, ...request },
    fleet: { clusters: [], pools },
    slo: { burn_rate: 0, budget_left: 1 },
    flags: {},
  };
}
const pool = (id: string, saturation = 0, more: object = {}): object => ({
  id,
  cluster: 'c',
  jurisdiction: 'local',
  model: 'm',
  version: '1.0.0',
  saturation,
  warm: true,
  ...more,
});

/** Compiles Rego to a bundle archive with the real opa. */
function bundle(name: string, rego: string): string {
  const source = dir.file(name);
  mkdirSync(source);
  writeFileSync(join(source, 'policy.rego'), rego);
  const archive = dir.file(`${name}.tar.gz`);
  execFileSync(opa, ['build', '-t', 'wasm', '-e', 'routing/decision', '--revision', name, '-o', archive, source]);
  return archive;
}

describe('the development policy', () => {
  it('is what its source compiles to', async () => {
    const out = dir.file('rebuilt');
    await buildDevPolicy(out, opa);
    for (const name of ['policy.wasm', 'data.json', '.manifest'])
      expect(readFileSync(join(out, name)).equals(readFileSync(join(SHIPPED_BUNDLE, name))), name).toBe(true);
  });

  it.each<[string, PolicyInput, object]>([
    [
      'the least saturated pool',
      input({}, [pool('a', 0.9), pool('b', 0.1)]),
      { allow: true, target: { pool: 'b' }, fallbacks: [{ pool: 'a' }] },
    ],
    ['the first of equals', input({}, [pool('b'), pool('a')]), { target: { pool: 'a' } }],
    ['no cold pool', input({}, [pool('a', 0, { warm: false }), pool('b', 0.9)]), { target: { pool: 'b' }, fallbacks: [] }],
    ['no pool of another model', input({}, [pool('a', 0, { model: 'x' })]), { allow: false, reasons: ['NO_POOL'] }],
    ['no unknown tenant', input({ tenant: 'x' }, [pool('a')]), { allow: false, rule: 'unknown-tenant' }],
    [
      'restricted data at home',
      input({ data_class: 'restricted', origin_region: 'local' }, [pool('far', 0, { jurisdiction: 'US' }), pool('home', 0.9)]),
      { target: { pool: 'home' }, fallbacks: [] },
    ],
    ['no restricted data of unknown origin', input({ data_class: 'restricted' }, [pool('home')]), { allow: false }],
    ['priority by name', input({ priority: 'interactive' }, [pool('a')]), { priority: 5 }],
    ['priority 3 otherwise', input({ priority: 'odd' }, [pool('a')]), { priority: 3 }],
  ])('takes %s', async (_name, asked, expected) => {
    const policy = await activate(await loadBundle(SHIPPED_BUNDLE), 'routing/decision', new Date(0));
    expect(policy.decide(asked)).toMatchObject(expected);
  });
});

it('gives a module the memory that its constants take, as the gate does', async () => {
  const name = 'x'.repeat(2 ** 20);
  const archive = bundle(
    'constants',
    `package routing\n\ndefault decision := {"allow": false, "rule": "other"}\n\ndecision := {"allow": false, "rule": "named"} if input.request.tenant == "${name}"\n`,
  );
  const policy = await activate(await loadBundle(archive), 'routing/decision', new Date(0));
  expect([name, 'y'].map((tenant) => policy.decide(input({ tenant }))?.rule)).toEqual(['named', 'other']);
});

describe('the fleet’s routing policy', () => {
  it('decides here as it does in CI: the same WASM, fields of null and named priorities included', async () => {
    const archive = dir.file('fleet.tar.gz');
    const source = fileURLToPath(new URL('../../policies/routing', import.meta.url));
    execFileSync(opa, ['build', '-t', 'wasm', '-e', 'routing/decision', '-b', '--ignore', '*_test.rego', '-o', archive, source]);
    const policy = await activate(await loadBundle(archive), 'routing/decision', new Date(0));
    const pools = ['us-east', 'eu-west'].map((cluster) => ({
      id: `${cluster}-cpu`,
      cluster,
      region: cluster === 'us-east' ? 'us-east-1' : 'eu-west-1',
      jurisdiction: cluster === 'us-east' ? 'US' : 'EU',
      trust_zone: cluster.slice(0, 2),
      accelerator: 'cpu',
      model: 'mixtral-micro',
      version: '1.0.0',
      saturation: 0.1,
      queue: 0,
      p95_ms: 100,
      cost_per_mtok: 0.1,
      warm: true,
    }));
    const eu = {
      tenant: 'nordbank',
      workload_identity: 'spiffe://fleet.example/ns/nordbank/sa/advisor',
      data_class: 'restricted',
      origin_region: 'eu-west-1',
      model: 'mixtral-micro',
      task: 'chat',
      priority: 'normal',
      tokens: 100,
    };
    expect(policy.decide(input(eu, pools))).toMatchObject({ allow: true, rule: 'primary', target: { pool: 'eu-west-cpu' } });
    const refused = policy.decide(input(eu, pools.slice(0, 1)));
    expect(refused).toMatchObject({ allow: false });
    expect(refused).not.toHaveProperty('target');
    expect(policy.decide(input({ ...eu, data_class: '' }, pools))).toMatchObject({
      allow: false,
      rule: 'intake',
      reasons: ['DATA_CLASS_MISSING'],
    });
  });
});

describe('bundles', () => {
  it('load from the archive that opa writes, with its revision', async () => {
    const policy = await activate(
      await loadBundle(bundle('archive', 'package routing\ndecision := {"allow": false, "rule": "no"}\n')),
      'routing/decision',
      new Date(0),
    );
    expect(policy.bundle.revision).toBe('archive');
    expect(policy.decide(input())).toEqual({ allow: false, rule: 'no' });
  });

  it('answer undefined as undefined', async () => {
    const policy = await activate(
      await loadBundle(
        bundle('undefined', 'package routing\ndecision := {"allow": false} if input.request.tenant == "nobody"\n'),
      ),
      'routing/decision',
      new Date(0),
    );
    expect(policy.decide(input())).toBeUndefined();
  });

  it.each<[string, string, RegExp]>([
    [
      'conflict',
      'package routing\ndecision := {"allow": false} if input.request.id\ndecision := {"allow": true} if input.request.id\n',
      /self-test: policy evaluation failed/,
    ],
    [
      'malformed',
      'package routing\ndecision := {"allow": "yes"}\n',
      /self-test: the policy's decision is malformed: \/allow must be boolean/,
    ],
    ['targetless', 'package routing\ndecision := {"allow": true}\n', /decision is malformed: .*target/],
  ])('are refused by the self-test: %s', async (name, rego, message) => {
    await expect(activate(await loadBundle(bundle(name, rego)), 'routing/decision', new Date(0))).rejects.toThrow(message);
  });

  it('that call what only OPA itself has are refused, though the self-test does not reach it', async () => {
    const rego =
      'package routing\ndefault decision := {"allow": false}\ndecision := {"allow": false, "rule": http.send({"url": "http://x", "method": "get"}).body} if input.request.tenant == "rare"\n';
    await expect(activate(await loadBundle(bundle('host', rego)), 'routing/decision', new Date(0))).rejects.toThrow(
      /cannot be instantiated: it calls http\.send, which only OPA itself has; if only its tests do, .*--ignore/,
    );
  });

  it('are told the time, one in an evaluation, as the gate lets them ask for it', async () => {
    const rego =
      'package routing\ndecision := {"allow": false, "rule": sprintf("%v %v", [time.now_ns() > 1700000000000000000, time.now_ns() == time.now_ns()])} if input.request.tenant != "timeless"\ndecision := {"allow": false} if input.request.tenant == "timeless"\n';
    const policy = await activate(await loadBundle(bundle('time', rego)), 'routing/decision', new Date(0));
    const { decision, clockNs } = policy.answer(input());
    expect(decision).toEqual({ allow: false, rule: 'true true' });
    expect(Math.abs(clockNs! / 1e6 - Date.now())).toBeLessThan(60_000);
    expect(policy.answer(input({ tenant: 'timeless' })).clockNs).toBeUndefined();
  });

  it('are tried on the requests of this runtime before they are activated', async () => {
    const rego =
      'package routing\ndefault decision := {"allow": false}\ndecision := {"allow": true, "target": {"pool": p.id}} if some p in input.fleet.pools\n';
    const loaded = await loadBundle(bundle('probed', rego));
    await expect(activate(loaded, 'routing/decision', new Date(0))).resolves.toBeDefined();
    const probes = policyProbes(devConfig({ model: SHIPPED_MODEL, port: 0 }));
    await expect(activate(loaded, 'routing/decision', new Date(0), probes)).rejects.toThrow(
      /self-test \(tenant dev, model mixtral-micro\): the policy's decision is malformed: \/target must have required property/,
    );
  });

  it('that run out of memory fail that decision, and the next one is as good as before', async () => {
    const rego =
      'package routing\ndecision := {"allow": false, "rule": sprintf("%d", [count(numbers.range(1, input.request.tokens))])}\n';
    const policy = await activate(await loadBundle(bundle('memory', rego)), 'routing/decision', new Date(0));
    expect(() => policy.decide(input({ tokens: 10_000_000 }))).toThrow(PolicyError);
    expect(policy.decide(input({ tokens: 9 }))).toEqual({ allow: false, rule: '9' });
  });

  it('fail one decision, not the process, when the conflict shows only later', async () => {
    const rego =
      'package routing\ndecision := {"allow": false} if true\ndecision := {"allow": false, "rule": "x"} if input.request.tenant == "odd"\n';
    const policy = await activate(await loadBundle(bundle('later', rego)), 'routing/decision', new Date(0));
    expect(() => policy.decide(input({ tenant: 'odd' }))).toThrow(PolicyError);
    expect(policy.decide(input())).toEqual({ allow: false });
  });

  it.each<[string, () => string, RegExp]>([
    ['nothing there', () => dir.file('none'), /no such bundle/],
    [
      'an empty directory',
      () => {
        mkdirSync(dir.file('empty'), { recursive: true });
        return dir.file('empty');
      },
      /no policy.wasm in the bundle; build it with: opa build -t wasm/,
    ],
    [
      'a file that is no archive',
      () => {
        writeFileSync(dir.file('text.tar.gz'), 'text');
        return dir.file('text.tar.gz');
      },
      /not a gzipped bundle/,
    ],
    [
      'an archive cut in half',
      () => {
        const whole = readFileSync(bundle('whole', 'package routing\ndecision := {"allow": false}\n'));
        writeFileSync(dir.file('half.tar.gz'), whole.subarray(0, whole.length / 2));
        return dir.file('half.tar.gz');
      },
      /not a gzipped bundle|broken archive/,
    ],
    [
      'wasm that is none',
      () => {
        mkdirSync(dir.file('nowasm'), { recursive: true });
        writeFileSync(join(dir.file('nowasm'), 'policy.wasm'), 'not wasm');
        return dir.file('nowasm');
      },
      /cannot be instantiated/,
    ],
  ])('that cannot be used say why: %s', async (_name, path, message) => {
    await expect((async () => activate(await loadBundle(path()), 'routing/decision', new Date(0)))()).rejects.toThrow(message);
  });

  it('without the entrypoint say which they have', async () => {
    await expect(activate(await loadBundle(SHIPPED_BUNDLE), 'other/rule', new Date(0))).rejects.toThrow(
      /no entrypoint other\/rule; the bundle has: routing\/decision/,
    );
  });

  it('stay active when a reload fails, and say so', async () => {
    const source = dir.file('live.tar.gz');
    writeFileSync(source, readFileSync(bundle('v1', 'package routing\ndecision := {"allow": false, "rule": "one"}\n')));
    const store = new PolicyStore([policySource({ name: 'file', bundle: source }, undefined)], {
      entrypoint: 'routing/decision',
    });
    await store.reload(new Date(0));
    writeFileSync(source, 'broken');
    await expect(store.reload(new Date(1000))).rejects.toThrow();
    expect(store.active.decide(input())).toEqual({ allow: false, rule: 'one' });
    expect(store.describe()).toMatchObject({
      revision: 'v1',
      last_attempt: { at: '1970-01-01T00:00:01.000Z', error: expect.stringContaining('not a gzipped bundle') },
    });
    expect(store.status({})).toMatchObject({ bundles: { routing: { active_revision: 'v1', code: 'bundle_error' } } });
    writeFileSync(source, readFileSync(bundle('v2', 'package routing\ndecision := {"allow": false, "rule": "two"}\n')));
    expect((await store.reload(new Date(2000))).active.decide(input())).toEqual({ allow: false, rule: 'two' });
  });
});
