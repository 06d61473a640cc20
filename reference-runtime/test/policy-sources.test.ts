import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import tar, { pack } from 'tar-stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { resolveTool } from '../../src/tools/resolve.ts';
import { SHIPPED_MODEL } from '../src/config/dev.ts';
import { ConfigurationError, parseConfig } from '../src/config/load.ts';
import type { PolicySourceConfig } from '../src/config/types.ts';
import { bundleFromArchive, loadBundle, MAX_BUNDLE_BYTES } from '../src/policy/bundle.ts';
import type { PolicyInput } from '../src/policy/policy.ts';
import { policySource } from '../src/policy/source.ts';
import { PolicyStore } from '../src/policy/store.ts';
import { reloadPolicy } from '../src/server/reload-policy.ts';
import { temporary } from './support/models.ts';
import { metric, startServer } from './support/server.ts';

const dir = temporary();
afterAll(dir.remove);
let opa: string;
const keys = { good: '', other: '', private: '' };
beforeAll(async () => {
  opa = (await resolveTool('opa')).path;
  const pair = () =>
    generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
  const [mine, other] = [pair(), pair()];
  for (const [name, text] of [
    ['good', mine.publicKey],
    ['private', mine.privateKey],
    ['other', other.publicKey],
  ] as const) {
    keys[name] = dir.file(`${name}.pem`);
    writeFileSync(keys[name], text);
  }
});

const INPUT: PolicyInput = {
  request: { id: 'r', tenant: 'dev', workload_identity: 'w', model: 'm', tokens: 1 },
  fleet: { clusters: [], pools: [] },
  slo: { burn_rate: 0, budget_left: 1 },
  flags: {},
};

/** A bundle whose decision names its rule, built by the real opa. */
function bundle(rule: string, sign = false): Buffer {
  const source = mkdtempSync(dir.file('source-'));
  writeFileSync(
    join(source, 'policy.rego'),
    `package routing\ndecision := {"allow": false, "rule": sprintf("${rule}%v", [data.suffix])}\n`,
  );
  writeFileSync(join(source, 'data.json'), '{"suffix": "", "limits": {"é": 1.50, "b": [1e3, true, null, "<&>"]}}');
  const archive = join(source, 'bundle.tar.gz');
  const signing = sign ? ['--signing-key', keys.private, '--bundle'] : ['--bundle'];
  execFileSync(opa, ['build', '-t', 'wasm', '-e', 'routing/decision', '--revision', rule, ...signing, '-o', archive, source]);
  return readFileSync(archive);
}

/** The archive with one file changed, added or left out. */
async function tamper(
  archive: Buffer,
  change: (name: string, text: Buffer) => Buffer | undefined,
  extra?: string,
): Promise<Buffer> {
  const out = pack();
  const extract = tar.extract();
  extract.end(gunzipSync(archive));
  for await (const entry of extract) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    const text = change(entry.header.name.replace(/^\/+/, ''), Buffer.concat(chunks));
    if (text !== undefined) out.entry({ name: entry.header.name }, text);
  }
  if (extra !== undefined) out.entry({ name: extra }, 'x');
  out.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of out) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
}

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** A bundle service on the loopback interface; `current` may be changed while it runs. */
async function service(current: {
  body: Buffer;
  etag: string;
  status?: number;
}): Promise<{ url: string; seen: IncomingMessage[]; stop: () => Promise<void> }> {
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    if (current.status !== undefined) response.writeHead(current.status, { location: '/elsewhere' }).end();
    else if (request.headers['if-none-match'] === current.etag) response.writeHead(304).end();
    else response.writeHead(200, { etag: current.etag }).end(current.body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = async (): Promise<void> => {
    servers.splice(servers.indexOf(server), 1);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/bundle.tar.gz`, seen, stop };
}

function store(configs: PolicySourceConfig[], cache?: string): PolicyStore {
  return new PolicyStore(
    configs.map((config) => policySource(config, cache)),
    { entrypoint: 'routing/decision', ...(cache === undefined ? {} : { cache }) },
  );
}
const rule = (policy: PolicyStore): string | undefined => policy.active.decide(INPUT)?.rule;
const folder = (): string => mkdtempSync(dir.file('cache-'));

describe('a bundle over HTTP', () => {
  it('is asked for by ETag, activated once, and again when it changes', async () => {
    const current = { body: bundle('one'), etag: '"1"' };
    const { url, seen } = await service(current);
    const policy = store([{ name: 'plane', url }]);
    expect(await policy.reload(new Date(0))).toMatchObject({ source: 'plane', changed: true, problems: [] });
    expect(await policy.reload(new Date(60_000))).toMatchObject({ changed: false });
    expect(seen.map((request) => request.headers['if-none-match'])).toEqual([undefined, '"1"']);
    expect(policy.active.activatedAt).toBe('1970-01-01T00:00:00.000Z');
    // Not activated again, but confirmed: that is what its age counts from.
    expect(policy.ageSeconds(new Date(90_000))).toBe(30);
    Object.assign(current, { body: bundle('two'), etag: '"2"' });
    expect(await policy.reload(new Date(120_000))).toMatchObject({ changed: true });
    expect(rule(policy)).toBe('two');
  });

  it('sends its token, and follows no redirect with it', async () => {
    process.env['TEST_BUNDLE_TOKEN'] = 'secret';
    const current: { body: Buffer; etag: string; status?: number } = { body: bundle('token'), etag: '"1"' };
    const { url, seen } = await service(current);
    const policy = store([{ name: 'plane', url, tokenEnv: 'TEST_BUNDLE_TOKEN' }]);
    await policy.reload(new Date(0));
    expect(seen[0]!.headers.authorization).toBe('Bearer secret');
    current.status = 302;
    await expect(policy.reload(new Date(1))).rejects.toThrow(/^plane: .*redirect/);
    expect(seen).toHaveLength(2);
    delete process.env['TEST_BUNDLE_TOKEN'];
  });

  it.each([
    [404, /HTTP 404/],
    [500, /HTTP 500/],
  ])('that answers %i is a problem, and the active policy stays', async (status, message) => {
    const current: { body: Buffer; etag: string; status?: number } = { body: bundle('stays'), etag: '"1"' };
    const { url } = await service(current);
    const policy = store([{ name: 'plane', url }]);
    await policy.reload(new Date(0));
    current.status = status;
    await expect(policy.reload(new Date(1))).rejects.toThrow(message);
    expect(rule(policy)).toBe('stays');
    expect(policy.status({})).toMatchObject({
      bundles: {
        routing: { active_revision: 'stays', code: 'bundle_error', last_successful_download: '1970-01-01T00:00:00.000Z' },
      },
    });
  });
});

describe('a signed bundle', () => {
  const load = (body: Buffer, verify: Partial<{ key: string; algorithm: string; scope: string }> = {}): Promise<unknown> => {
    const file = join(folder(), 'bundle.tar.gz');
    writeFileSync(file, body);
    return store([{ name: 'file', bundle: file, verify: { key: keys.good, algorithm: 'RS256', ...verify } }]).reload(new Date(0));
  };

  it('signed by opa is taken, with structured files hashed as opa does it', async () => {
    await expect(load(bundle('signed', true))).resolves.toMatchObject({ changed: true });
  });

  it('unpacked into a folder is taken too, and one more file there is refused', async () => {
    const path = folder();
    const extract = tar.extract();
    extract.end(gunzipSync(bundle('folder', true)));
    for await (const entry of extract) {
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      const file = join(path, entry.header.name);
      mkdirSync(join(file, '..'), { recursive: true });
      writeFileSync(file, Buffer.concat(chunks));
    }
    const signed = store([{ name: 'file', bundle: path, verify: { key: keys.good, algorithm: 'RS256' } }]);
    await expect(signed.reload(new Date(0))).resolves.toMatchObject({ changed: true });
    writeFileSync(join(path, 'more.json'), '{}');
    await expect(signed.reload(new Date(1))).rejects.toThrow('more.json is not covered');
  });

  it.each<[string, () => Promise<Buffer> | Buffer, Partial<{ key: string; algorithm: string; scope: string }>, RegExp]>([
    ['not signed', () => bundle('unsigned'), {}, /not signed; sign it with: opa build --signing-key/],
    ['signed by somebody else', () => bundle('x', true), { key: () => keys.other } as never, /does not hold against/],
    ['of another algorithm', () => bundle('x', true), { algorithm: 'PS256' }, /does not hold/],
    ['for another scope', () => bundle('x', true), { scope: 'write' }, /is for scope none, expected write/],
    [
      'with other data',
      () => tamper(bundle('x', true), (name, text) => (name === 'data.json' ? Buffer.from('{"suffix": "!"}') : text)),
      {},
      /data.json is not what was signed/,
    ],
    [
      'with other code',
      () => tamper(bundle('x', true), (name, text) => (name === 'policy.wasm' ? Buffer.concat([text, Buffer.from([0])]) : text)),
      {},
      /policy.wasm is not what was signed/,
    ],
    [
      'with a file more',
      () => tamper(bundle('x', true), (_name, text) => text, '/extra/data.json'),
      {},
      /extra\/data.json is not covered by the bundle's signature/,
    ],
    [
      'with a file less',
      () => tamper(bundle('x', true), (name, text) => (name.endsWith('.rego') ? undefined : text)),
      {},
      /the signature lists .*policy.rego, which the bundle lacks/,
    ],
    [
      'with two signatures',
      () =>
        tamper(bundle('x', true), (name, text) =>
          name === '.signatures.json' ? Buffer.from('{"signatures": ["a", "b"]}') : text,
        ),
      {},
      /needs one signature/,
    ],
  ])('that is %s is refused', async (_name, body, verify, message) => {
    const key = typeof verify.key === 'function' ? (verify.key as unknown as () => string)() : verify.key;
    await expect(load(await body(), { ...verify, ...(key === undefined ? {} : { key }) })).rejects.toThrow(message);
  });
});

describe('the data of a bundle', () => {
  /** An archive with the code of a good bundle and these files. */
  const packed = async (files: Record<string, string>): Promise<Buffer> => {
    const out = pack();
    const extract = tar.extract();
    extract.end(gunzipSync(bundle('data')));
    for await (const entry of extract) {
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      if (entry.header.name === '/policy.wasm') out.entry({ name: 'policy.wasm' }, Buffer.concat(chunks));
    }
    for (const [name, text] of Object.entries(files)) out.entry({ name }, text);
    out.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of out) chunks.push(chunk as Buffer);
    return gzipSync(Buffer.concat(chunks));
  };
  const load = async (files: Record<string, string>) => bundleFromArchive(await packed(files), 'b');

  it('is that of every folder, as OPA itself puts it together', async () => {
    const files = {
      'data.json': '{"suffix": "!", "a": {"x": 1}}',
      'a/data.yaml': 'y: [1, two]\n',
      'a/b/data.json': '{"__proto__": 3}',
      '.manifest': '{"revision": "7", "roots": ["a", "suffix"]}',
    };
    const { data, revision } = await load(files);
    const source = folder();
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(source, name, '..'), { recursive: true });
      writeFileSync(join(source, name), text);
    }
    const said = execFileSync(opa, ['eval', '--bundle', source, '--format', 'raw', 'data'], { encoding: 'utf8' });
    expect(JSON.parse(JSON.stringify(data))).toEqual(JSON.parse(said));
    expect(revision).toBe('7');
  });

  it('of a folder is the same, hidden folders and those of a mounted ConfigMap left out', async () => {
    const source = folder();
    const file = (name: string, text: string): void => {
      mkdirSync(join(source, name, '..'), { recursive: true });
      writeFileSync(join(source, name), text);
    };
    file('policy.wasm', 'code');
    file('data.json', '{"suffix": ""}');
    file('tenants/data.yml', 'gold: 5');
    for (const name of ['..data/data.json', '..2026/tenants/data.yml', '.git/data.json', 'other.json']) file(name, '{"no": 1}');
    expect((await loadBundle(source)).data).toEqual({ suffix: '', tenants: { gold: 5 } });
  });

  it.each<[string, Record<string, string>, RegExp]>([
    [
      'outside its roots',
      { 'data.json': '{"b": 1}', '.manifest': '{"roots": ["a/x"]}' },
      /data.json has b, which is outside the roots .*: a\/x/,
    ],
    [
      'said twice',
      { 'data.json': '{"a": {"x": 1}}', 'a/data.json': '{"x": 2}' },
      /has (?:a|a\/x), which another file of the bundle has too/,
    ],
    ['no object', { 'data.json': '[1]' }, /data.json must be an object/],
    ['broken', { 'a/data.yaml': 'a: [' }, /a\/data.yaml is not YAML/],
  ])('that is %s is refused', async (_name, files, message) => {
    await expect(load(files)).rejects.toThrow(message);
  });

  it('alone, as a delta, is no bundle, and servers are asked for whole ones', async () => {
    const out = pack();
    out.entry({ name: '/patch.json' }, '{"data": []}');
    out.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of out) chunks.push(chunk as Buffer);
    const { url, seen } = await service({ body: gzipSync(Buffer.concat(chunks)), etag: '"1"' });
    await expect(store([{ name: 'plane', url }]).reload(new Date(0))).rejects.toThrow(/a delta bundle .*only whole bundles/);
    expect(seen[0]?.headers['prefer']).toBe('modes=snapshot');
  });
});

describe('an archive that means harm', () => {
  it.each<[string, () => Promise<Buffer>, RegExp]>([
    [
      'unpacks to more than a bundle may be',
      async () => gzipSync(Buffer.alloc(MAX_BUNDLE_BYTES + 1)),
      /not a gzipped bundle of at most/,
    ],
    [
      'has its code elsewhere',
      () => tamper(bundle('x'), (name, text) => (name === 'policy.wasm' ? undefined : text), '../policy.wasm'),
      /no policy.wasm/,
    ],
  ])('because it %s is refused', async (_name, body, message) => {
    await expect(bundleFromArchive(await body(), 'b')).rejects.toThrow(message);
  });

  it('because its code is a link is refused', async () => {
    const out = pack();
    out.entry({ name: 'policy.wasm', type: 'symlink', linkname: '/etc/passwd' });
    out.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of out) chunks.push(chunk as Buffer);
    await expect(bundleFromArchive(gzipSync(Buffer.concat(chunks)), 'b')).rejects.toThrow(/no policy.wasm/);
  });
});

/** An empty repository whose branch is main, and Git in it. */
function newRepository(): { repository: string; git: (...args: string[]) => string } {
  const repository = folder();
  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', repository, '-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { encoding: 'utf8' });
  git('init', '--quiet', '--initial-branch', 'main');
  return { repository, git };
}

describe('a bundle in Git', () => {
  it('comes without the rest of its repository, where that can be left out', async () => {
    const { repository, git } = newRepository();
    writeFileSync(join(repository, 'large.bin'), randomBytes(4 * 2 ** 20));
    writeFileSync(join(repository, 'b.tar.gz'), bundle('small'));
    git('add', '.');
    git('commit', '--quiet', '-m', 'all');
    const sizes: number[] = [];
    for (const able of ['true', 'false']) {
      git('config', 'uploadpack.allowFilter', able);
      const cache = folder();
      const policy = store([{ name: 'repo', git: { repository: `file://${repository}`, ref: 'main', path: 'b.tar.gz' } }], cache);
      await policy.reload(new Date(0));
      expect(rule(policy)).toBe('small');
      const packed = execFileSync(
        'git',
        ['-C', join(cache, readdirSync(cache).find((name) => name.endsWith('.git'))!), 'count-objects', '-v'],
        { encoding: 'utf8' },
      );
      sizes.push(Number(/^size-pack: (\d+)$/m.exec(packed)?.[1]) + Number(/^size: (\d+)$/m.exec(packed)?.[1]));
    }
    // KiB.
    expect(sizes[0]).toBeLessThan(1024);
    expect(sizes[1]).toBeGreaterThan(4096);
  });

  it('follows a ref that was forced back, and keeps the policy when the ref is gone', async () => {
    const { repository, git } = newRepository();
    const commit = (name: string): void => {
      writeFileSync(join(repository, 'b.tar.gz'), bundle(name));
      git('add', '.');
      git('commit', '--quiet', '-m', name);
    };
    commit('base');
    git('checkout', '--quiet', '-b', 'live');
    commit('first');
    const cache = folder();
    const at = (ref: string, path = 'b.tar.gz'): PolicyStore =>
      store([{ name: 'repo', git: { repository: `file://${repository}`, ref, path } }], cache);
    const policy = at('live');
    await policy.reload(new Date(0));
    git('reset', '--quiet', '--hard', 'main');
    commit('forced');
    expect(await policy.reload(new Date(1))).toMatchObject({ changed: true });
    expect(rule(policy)).toBe('forced');
    // Another ref of the same repository, asked for at the same time by another runtime with the same cache.
    const other = at('main');
    await Promise.all([policy.reload(new Date(2)), other.reload(new Date(2))]);
    expect([rule(policy), rule(other)]).toEqual(['forced', 'base']);
    git('checkout', '--quiet', 'main');
    git('branch', '-D', 'live');
    await expect(policy.reload(new Date(3))).rejects.toThrow(/^repo: file:.* live:b.tar.gz: fatal: .*live/);
    expect(rule(policy)).toBe('forced');
    // A link is what is in the tree: no file of this machine.
    symlinkSync('/etc/passwd', join(repository, 'link.tar.gz'));
    git('add', '.');
    git('update-index', '--add', '--cacheinfo', `160000,${git('rev-parse', 'HEAD').trim()},module`);
    git('commit', '--quiet', '-m', 'odd');
    for (const [path, message] of [
      ['link.tar.gz', /not a gzipped bundle/],
      ['module', /fatal: /],
      ['../b.tar.gz', /fatal: /],
      ['module/b.tar.gz', /fatal: /],
    ] as const)
      await expect(at('main', path).reload(new Date(4))).rejects.toThrow(message);
  });

  it('is read at the ref, and again when the ref moves', async () => {
    const { repository, git } = newRepository();
    const commit = (name: string): void => {
      mkdirSync(join(repository, 'dist'), { recursive: true });
      writeFileSync(join(repository, 'dist/routing.tar.gz'), bundle(name));
      git('add', '.');
      git('commit', '--quiet', '-m', name);
    };
    commit('first');
    const policy = store([{ name: 'repo', git: { repository, ref: 'main', path: 'dist/routing.tar.gz' } }], folder());
    expect(await policy.reload(new Date(0))).toMatchObject({ changed: true });
    expect(await policy.reload(new Date(1))).toMatchObject({ changed: false });
    commit('second');
    expect(await policy.reload(new Date(2))).toMatchObject({ changed: true });
    expect(rule(policy)).toBe('second');
    expect(policy.describe()).toMatchObject({ source: expect.stringMatching(/main:dist\/routing\.tar\.gz \([0-9a-f]{12}\)$/) });
    await expect(
      store([{ name: 'repo', git: { repository, ref: 'gone', path: 'x' } }], folder()).reload(new Date(0)),
    ).rejects.toThrow(/^repo: .*gone/);
    await expect(
      store([{ name: 'repo', git: { repository: '/no/such/repository', ref: 'main', path: 'x' } }], folder()).reload(new Date(0)),
    ).rejects.toThrow(/^repo: .*main:x: fatal: .*\/no\/such\/repository/);
  });
});

describe('what a source says of itself', () => {
  it('is shown to every tenant without the credentials of its URL', async () => {
    const policy = store([
      { name: 'repo', git: { repository: 'https://robot:s3cret@127.0.0.1:9/fleet.git', ref: 'main', path: 'x' } },
      { name: 'token', git: { repository: 'https://t0ken@127.0.0.1:9/fleet.git', ref: 'main', path: 'x' } },
    ]);
    const said = await policy.reload(new Date(0)).catch((error: unknown) => String(error));
    expect(said).toContain('https://127.0.0.1:9/fleet.git main:x');
    expect(said).not.toMatch(/s3cret|t0ken/);
  });

  it.each<[string, unknown]>([
    ['a list', ['1']],
    ['of many characters', 'x'.repeat(257)],
    ['of two lines', '1\nmixgate-runtime: policy trusted from disk is active'],
    ['with a colour', '\u001b[32m1'],
  ])('a revision that is %s is refused', async (_name, revision) => {
    const dir = folder();
    writeFileSync(join(dir, 'policy.wasm'), '');
    writeFileSync(join(dir, '.manifest'), JSON.stringify({ revision }));
    await expect(loadBundle(dir)).rejects.toThrow(/the revision in \.manifest is not one line of at most 256 characters/);
  });
});

describe('several sources', () => {
  it('are asked in order: the first good one wins, and wins back', async () => {
    const first = { body: bundle('first'), etag: '"1"' };
    const one = await service(first);
    const two = await service({ body: bundle('second'), etag: '"1"' });
    const policy = store([
      { name: 'one', url: one.url },
      { name: 'two', url: two.url },
    ]);
    await policy.reload(new Date(0));
    expect([rule(policy), two.seen.length]).toEqual(['first', 0]);
    Object.assign(first, { status: 503 });
    expect(await policy.reload(new Date(1))).toMatchObject({
      source: 'two',
      changed: true,
      problems: [expect.stringContaining('HTTP 503')],
    });
    expect([rule(policy), [...policy.sources]]).toEqual([
      'second',
      [
        ['one', false],
        ['two', true],
      ],
    ]);
    // Another control plane serves: no fault of the policy, and the sources say which one is away.
    expect(policy.status({})).not.toHaveProperty('bundles.routing.code');
    expect(policy.describe()).toMatchObject({ last_attempt: { error: expect.stringContaining('HTTP 503') } });
    Object.assign(first, { status: undefined });
    // Its bundle is unchanged since it was asked last (304), and still what should be active.
    expect(await policy.reload(new Date(2))).toMatchObject({ source: 'one', changed: true });
    expect(rule(policy)).toBe('first');
  });

  it('a bundle that fails its self-test is passed over', async () => {
    const source = folder();
    writeFileSync(join(source, 'p.rego'), 'package routing\ndecision := {"allow": false, "rule": opa.runtime().x}\n');
    const archive = join(source, 'b.tar.gz');
    execFileSync(opa, ['build', '-t', 'wasm', '-e', 'routing/decision', '-o', archive, source]);
    const good = join(folder(), 'good.tar.gz');
    writeFileSync(good, bundle('good'));
    const policy = store([
      { name: 'bad', bundle: archive },
      { name: 'good', bundle: good },
    ]);
    expect(await policy.reload(new Date(0))).toMatchObject({
      source: 'good',
      problems: [expect.stringMatching(/^bad: .*it calls opa\.runtime, which only OPA itself has/)],
    });
    expect(rule(policy)).toBe('good');
    // Somebody published a bundle that nobody can use.
    expect(policy.status({})).toMatchObject({
      bundles: { routing: { code: 'bundle_error', message: expect.stringMatching(/^bad: .*opa\.runtime/) } },
    });
    rmSync(good);
    await expect(policy.reload(new Date(1))).rejects.toThrow(/no such bundle/);
    expect(policy.status({})).toMatchObject({
      bundles: { routing: { message: expect.stringMatching(/^bad: .*; good: .*no such bundle/) } },
    });
  });
});

describe('a bundle that cannot be activated', () => {
  it('stays a problem for as long as the source has it, though the source says that nothing changed', async () => {
    const current = { body: bundle('good'), etag: '"1"' };
    const { url, seen } = await service(current);
    const policy = store([{ name: 'plane', url }]);
    await policy.reload(new Date(0));
    const source = folder();
    writeFileSync(join(source, 'p.rego'), 'package routing\ndecision := {"allow": "yes"}\n');
    const archive = join(source, 'b.tar.gz');
    execFileSync(opa, ['build', '-t', 'wasm', '-e', 'routing/decision', '-o', archive, source]);
    Object.assign(current, { body: readFileSync(archive), etag: '"2"' });
    for (const now of [1, 2, 3])
      await expect(policy.reload(new Date(now * 1000))).rejects.toThrow(
        /^plane: .*self-test: the policy's decision is malformed/,
      );
    expect(seen.map((request) => request.headers['if-none-match'])).toEqual([undefined, '"1"', '"2"', '"2"']);
    expect([rule(policy), policy.sources.get('plane'), policy.ageSeconds(new Date(3000))]).toEqual(['good', false, 3]);
    expect(policy.status({})).toMatchObject({
      bundles: { routing: { code: 'bundle_error', message: expect.stringContaining('self-test') } },
    });
    Object.assign(current, { body: bundle('better'), etag: '"3"' });
    await policy.reload(new Date(4000));
    expect([rule(policy), policy.sources.get('plane'), policy.ageSeconds(new Date(4000))]).toEqual(['better', true, 0]);
  });
});

describe('the last good bundle', () => {
  it('is served from disk after a restart with every source gone, and says how old it is', async () => {
    const cache = folder();
    const { url, stop } = await service({ body: bundle('kept'), etag: '"1"' });
    await store([{ name: 'plane', url }], cache).reload(new Date(0));
    await stop();
    const later = store([{ name: 'plane', url }], cache);
    await expect(later.reload(new Date(60_000))).rejects.toThrow(/^plane: /);
    await later.recall(new Date(60_000));
    expect(rule(later)).toBe('kept');
    expect(later.ageSeconds(new Date(60_000))).toBe(60);
    expect(later.describe()).toMatchObject({ source_name: 'disk', sources: [{ name: 'plane', up: false }] });
  });

  it('is written once; a poll that finds it unchanged writes only the time', async () => {
    const cache = folder();
    const file = join(folder(), 'b.tar.gz');
    writeFileSync(file, bundle('one'));
    const policy = store([{ name: 'file', bundle: file }], cache);
    const kept = (name: string): string => join(cache, 'last-good', name);
    const inode = (name: string): number => statSync(kept(name)).ino;
    const confirmed = (): unknown => JSON.parse(readFileSync(kept('about.json'), 'utf8')).confirmed_at;
    await policy.reload(new Date(0));
    const [wasm, folderBefore] = [inode('policy.wasm'), inode('.')];
    await policy.reload(new Date(60_000));
    expect([inode('policy.wasm'), inode('.')]).toEqual([wasm, folderBefore]);
    expect(confirmed()).toBe('1970-01-01T00:01:00.000Z');
    writeFileSync(file, bundle('two'));
    await policy.reload(new Date(120_000));
    expect(inode('.')).not.toBe(folderBefore);
    // Someone cleared the cache: the next poll brings the bundle back, whole.
    rmSync(join(cache, 'last-good'), { recursive: true });
    await policy.reload(new Date(180_000));
    const later = store([{ name: 'file', bundle: join(cache, 'gone') }], cache);
    await later.recall(new Date(180_000));
    expect(rule(later)).toBe('two');
  });

  it('that cannot be written is said, and is no fault of the source whose bundle is good', async () => {
    const files = ['one', 'two'].map((name) => {
      const file = join(folder(), 'b.tar.gz');
      writeFileSync(file, bundle(name));
      return { name, bundle: file };
    });
    const [said, full] = [[] as string[], join(folder(), 'full')];
    writeFileSync(full, 'a file where the folder should be');
    const policy = new PolicyStore(
      files.map((config) => policySource(config, undefined)),
      { entrypoint: 'routing/decision', cache: full, notKept: (why) => said.push(why) },
    );
    expect(await policy.reload(new Date(0))).toMatchObject({ source: 'one', problems: [] });
    expect([rule(policy), policy.sources.get('one')]).toEqual(['one', true]);
    expect(said).toEqual([expect.stringContaining('ENOTDIR')]);
    rmSync(full);
    await policy.reload(new Date(1000));
    expect(said).toHaveLength(1);
    const later = store([{ name: 'gone', url: 'http://127.0.0.1:9/' }], full);
    await later.recall(new Date(1000));
    expect(rule(later)).toBe('one');
  });

  it('is there at every moment of its replacement', async () => {
    const cache = folder();
    const file = join(folder(), 'b.tar.gz');
    const policy = store([{ name: 'file', bundle: file }], cache);
    writeFileSync(file, bundle('before'));
    await policy.reload(new Date(0));
    // As a process leaves it that ends between the two renames.
    renameSync(join(cache, 'last-good'), join(cache, 'last-good.before'));
    const later = store([{ name: 'file', bundle: file }], cache);
    await later.recall(new Date(0));
    expect(rule(later)).toBe('before');
    writeFileSync(file, bundle('after'));
    await later.reload(new Date(1000));
    expect(readdirSync(cache)).toEqual(['last-good']);
    await later.recall(new Date(1000));
    expect(rule(later)).toBe('after');
  });

  it('that was altered on disk is refused', async () => {
    const cache = folder();
    const file = join(folder(), 'b.tar.gz');
    writeFileSync(file, bundle('altered'));
    await store([{ name: 'file', bundle: file }], cache).reload(new Date(0));
    writeFileSync(join(cache, 'last-good/data.json'), '{"suffix": "!"}');
    await expect(store([{ name: 'file', bundle: file }], cache).recall(new Date(0))).rejects.toThrow('was altered');
    await expect(store([{ name: 'file', bundle: file }], folder()).recall(new Date(0))).rejects.toThrow(
      'no last good bundle is kept',
    );
  });
});

describe('the runtime', () => {
  it('reloads under requests without dropping one, and shows sources and age in metrics and status', async () => {
    const allow = (revision: string): Buffer => {
      const source = mkdtempSync(dir.file('allow-'));
      writeFileSync(
        join(source, 'p.rego'),
        'package routing\ndecision := {"allow": true, "rule": "open", "target": {k: input.fleet.pools[0][k] | some k in ["cluster", "model", "version"]}} if false\ndecision := {"allow": true, "rule": "open", "target": object.union({"pool": input.fleet.pools[0].id}, {k: v | some k in ["cluster", "model", "version"]; v := input.fleet.pools[0][k]})} if count(input.fleet.pools) > 0\n',
      );
      const archive = join(source, 'b.tar.gz');
      execFileSync(opa, ['build', '-t', 'wasm', '-e', 'routing/decision', '--revision', revision, '-o', archive, source]);
      return readFileSync(archive);
    };
    const current: { body: Buffer; etag: string; status?: number } = { body: allow('r1'), etag: '"1"' };
    const { url } = await service(current);
    const cache = folder();
    await using server = await startServer(SHIPPED_MODEL, (config) => {
      config.policy = { sources: [{ name: 'plane', url }], entrypoint: 'routing/decision', pollSeconds: 0, cache };
    });
    const ask = async (): Promise<number> =>
      (await server.post('/v1/completions', { model: 'mixtral-micro', prompt: 'The', max_tokens: 4, temperature: 0 })).status;
    const running = Array.from({ length: 6 }, ask);
    Object.assign(current, { body: allow('r2'), etag: '"2"' });
    await reloadPolicy(server.runtime);
    expect(await Promise.all(running)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(server.runtime.policy.active.bundle.revision).toBe('r2');
    current.status = 500;
    await reloadPolicy(server.runtime);
    expect(await ask()).toBe(200);
    const text = await (await server.get('/metrics')).text();
    expect(metric(text, 'mixgate_policy_source_up', 'mixgate_policy_source="plane"')).toBe(0);
    expect(metric(text, 'mixgate_policy_bundle_age_seconds')).toBeGreaterThanOrEqual(0);
    expect(metric(text, 'mixgate_policy_activation_failures_total')).toBe(1);
    expect(server.logs.some((line) => line.includes('the last good one stays active'))).toBe(true);
  });

  it('starts from disk when every source is gone, and refuses to start with nothing kept', async () => {
    const cache = folder();
    const gone = { name: 'plane', url: 'http://127.0.0.1:9/bundle.tar.gz' };
    const start = () =>
      startServer(SHIPPED_MODEL, (config) => {
        config.policy = { sources: [gone], entrypoint: 'routing/decision', pollSeconds: 0, cache };
      });
    await expect(start()).rejects.toThrow(/plane: .*; no last good bundle is kept on disk/);
    const file = join(folder(), 'b.tar.gz');
    writeFileSync(file, bundle('kept'));
    await store([{ name: 'file', bundle: file }], cache).reload(new Date());
    await using server = await start();
    expect(server.logs.join('\n')).toContain('serving the last good one (kept) from disk');
    rmSync(cache, { recursive: true });
  });
});

describe('the configuration', () => {
  const text = (policy: string): string =>
    `model: {path: ${SHIPPED_MODEL}, id: mixtral-micro, version: 1.0.0}\npolicy:\n${policy}\nidentity: {tokens: [{sha256: ${'a'.repeat(64)}, tenant: a}]}\npools:\n  - {id: p, cluster: c, region: r, jurisdiction: EU, accelerator: cpu, model: mixtral-micro, version: 1.0.0, engine: local}\n`;

  it('takes sources in order, with paths relative to the file', () => {
    const config = parseConfig(
      text(
        `  sources:\n    - {name: a, url: "https://control.example.com/bundle.tar.gz", tokenEnv: TOKEN}\n    - {name: b, git: {repository: ../policy, ref: main, path: b.tar.gz}}\n  cache: state`,
      ),
      'runtime.yaml',
      '/etc/mixgate',
    );
    expect(config.policy).toEqual({
      sources: [
        { name: 'a', url: 'https://control.example.com/bundle.tar.gz', tokenEnv: 'TOKEN' },
        { name: 'b', git: { repository: '/etc/policy', ref: 'main', path: 'b.tar.gz' } },
      ],
      entrypoint: 'routing/decision',
      pollSeconds: 30,
      cache: '/etc/mixgate/state',
    });
  });

  it.each([
    [
      'a name twice',
      '  sources:\n    - {name: a, url: "https://a"}\n    - {name: a, url: "https://b"}',
      /runtime.yaml:5:14: policy.sources.1.name: a occurs twice/,
    ],
    [
      'a key that is not there',
      '  sources:\n    - {name: a, url: "https://a", verify: {key: none.pem}}',
      /verify.key: no such file/,
    ],
    [
      'a source of two kinds',
      '  sources:\n    - {name: a, url: "https://a", bundle: x}',
      /policy.sources.0: expected one of bundle, url, git, not bundle and url/,
    ],
    [
      'an option for a ref',
      '  sources:\n    - {name: a, git: {repository: r, ref: --upload-pack=x, path: p}}',
      /must match pattern/,
    ],
  ])('refuses %s', (_name, policy, message) => {
    expect(() => parseConfig(text(policy), 'runtime.yaml', '/etc/mixgate')).toThrow(ConfigurationError);
    expect(() => parseConfig(text(policy), 'runtime.yaml', '/etc/mixgate')).toThrow(message);
  });
});
