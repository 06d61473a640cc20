// Tokens and keys as issuers make them, and as attackers do.
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { SHIPPED_MODEL } from '../src/config/dev.ts';
import type { JwtConfig } from '../src/config/types.ts';
import { type Identify, identityStage } from '../src/server/identity.ts';
import { plainHttp } from '../src/server/plain-http.ts';
import { temporary } from './support/models.ts';
import { startServer } from './support/server.ts';

const dir = temporary();
afterAll(dir.remove);

type Algorithm = 'RS256' | 'ES256' | 'EdDSA';
interface Key {
  alg: Algorithm;
  privateKey: Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];
  publicKey: Awaited<ReturnType<typeof generateKeyPair>>['publicKey'];
  jwk: JWK;
}
async function key(alg: Algorithm, kid?: string): Promise<Key> {
  const pair = await generateKeyPair(alg, { extractable: true });
  return { alg, ...pair, jwk: { ...(await exportJWK(pair.publicKey)), alg, ...(kid === undefined ? {} : { kid }) } };
}
const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const seconds = (offset: number): number => Math.floor(Date.now() / 1000) + offset;
const sign = ({ alg, privateKey, jwk }: Key, claims: object = {}, header: object = {}): Promise<string> =>
  new SignJWT({ tenant: 'acme', exp: seconds(300), ...claims })
    .setProtectedHeader({ alg, ...(jwk.kid === undefined ? {} : { kid: jwk.kid }), ...header })
    .sign(privateKey);

const config = (jwks: string, more: Partial<JwtConfig> = {}): JwtConfig => ({
  jwks,
  jwksMaxAgeSeconds: 600,
  tenantClaim: 'tenant',
  algorithms: ['RS256', 'ES256', 'EdDSA'],
  ...more,
});
const ask = (identify: Identify, token: string) => identify({ authorization: `Bearer ${token}`, certificate: undefined });
const tenantOf = async (identify: Identify, token: string) => (await ask(identify, token)).tenant;

let keys: Record<Algorithm, Key>;
let files = 0;
function file(...jwks: JWK[]): string {
  const path = dir.file(`${files++}.json`);
  writeFileSync(path, JSON.stringify({ keys: jwks }));
  return path;
}
beforeAll(async () => {
  keys = { RS256: await key('RS256', 'rs'), ES256: await key('ES256', 'es'), EdDSA: await key('EdDSA', 'ed') };
});

describe('a token', () => {
  it.each<Algorithm>(['RS256', 'ES256', 'EdDSA'])('signed with %s is taken', async (alg) => {
    const identify = identityStage({ jwt: config(file(keys.RS256.jwk, keys.ES256.jwk, keys.EdDSA.jwk)) });
    expect(await ask(identify, await sign(keys[alg], { sub: 'web' }))).toEqual({ tenant: 'acme', workload: 'web' });
  });

  it.each<[string, (claims: object) => Promise<string> | string, RegExp]>([
    [
      'without a signature',
      (claims) => `${base64({ alg: 'none' })}.${base64({ tenant: 'acme', exp: seconds(300), ...claims })}.`,
      /is not valid/,
    ],
    [
      'with the public key as the secret of an HMAC',
      async (claims) => {
        const signed = `${base64({ alg: 'HS256', kid: 'rs' })}.${base64({ tenant: 'acme', exp: seconds(300), ...claims })}`;
        const secret = await exportSPKI(keys.RS256.publicKey);
        return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
      },
      /"alg" \(Algorithm\) Header Parameter value not allowed/,
    ],
    [
      'with a key of its own in the header',
      async (claims) => {
        const forger = await key('RS256');
        return sign(forger, claims, { kid: 'rs', jwk: forger.jwk });
      },
      /signature verification failed/,
    ],
    ['of a key that nobody knows', async (claims) => sign(await key('RS256', 'stranger'), claims), /no applicable key/],
    [
      'with a critical header that is not understood',
      (claims) =>
        new SignJWT({ tenant: 'acme', exp: seconds(300), ...claims })
          .setProtectedHeader({ alg: 'RS256', kid: 'rs', crit: ['x'], x: 1 })
          .sign(keys.RS256.privateKey, { crit: { x: true } }),
      /"x" is not recognized/,
    ],
    ['that has ended', (claims) => sign(keys.RS256, { ...claims, exp: seconds(-7) }), /"exp" claim timestamp check failed/],
    ['that never ends', (claims) => sign(keys.RS256, { ...claims, exp: undefined }), /missing required .exp. claim/],
    [
      'that is not valid yet',
      (claims) => sign(keys.RS256, { ...claims, nbf: seconds(60) }),
      /"nbf" claim timestamp check failed/,
    ],
    ['for somebody else', (claims) => sign(keys.RS256, { ...claims, aud: ['a', 'b'] }), /unexpected "aud" claim value/],
    ['for nobody', (claims) => sign(keys.RS256, { ...claims, aud: undefined }), /missing required .aud. claim/],
    [
      'of another issuer',
      (claims) => sign(keys.RS256, { ...claims, iss: 'https://evil.example' }),
      /unexpected "iss" claim value/,
    ],
    ['without a tenant', (claims) => sign(keys.RS256, { ...claims, tenant: undefined }), /has no claim tenant/],
    ['whose tenant is no text', (claims) => sign(keys.RS256, { ...claims, tenant: ['acme'] }), /has no claim tenant/],
    ['whose tenant is two lines', (claims) => sign(keys.RS256, { ...claims, tenant: 'acme\nx' }), /is no name of a tenant/],
    ['whose tenant is a page', (claims) => sign(keys.RS256, { ...claims, tenant: 'a'.repeat(257) }), /is no name of a tenant/],
    ['that is too long', (claims) => sign(keys.RS256, { ...claims, more: 'x'.repeat(20_000) }), /too long/],
    ['that is no JSON', () => `${base64({ alg: 'RS256', kid: 'rs' })}.eA.eA`, /is not valid/],
  ])('%s is refused', async (_name, make, message) => {
    const own = keys.RS256;
    const [issuer, audience] = ['https://issuer.example', 'mixgate'];
    const identify = identityStage({ jwt: config(file(own.jwk, keys.ES256.jwk), { issuer, audience }) });
    expect(await tenantOf(identify, await sign(own, { iss: issuer, aud: audience }))).toBe('acme');
    await expect(ask(identify, await make({ iss: issuer, aud: audience }))).rejects.toMatchObject({
      status: 401,
      message: expect.stringMatching(message),
    });
  });

  it('may be five seconds off, may have several audiences, and may have its tenant inside a claim', async () => {
    const own = keys.EdDSA;
    const identify = identityStage({
      jwt: config(file(own.jwk), { audience: 'mixgate', tenantClaim: '/kubernetes.io/a~1b/namespace' }),
    });
    const inside = { 'kubernetes.io': { 'a/b': { namespace: 'chat' } } };
    expect(await tenantOf(identify, await sign(own, { aud: ['x', 'mixgate'], ...inside }))).toBe('chat');
    expect(await tenantOf(identify, await sign(own, { aud: 'mixgate', ...inside, exp: seconds(-3), nbf: seconds(3) }))).toBe(
      'chat',
    );
    for (const claims of [{}, { 'kubernetes.io': 'x' }, { 'kubernetes.io': { __proto__: inside } }])
      await expect(ask(identify, await sign(own, { aud: 'mixgate', ...claims }))).rejects.toThrow(/has no claim \/kubernetes.io/);
  });

  it('without a key id, or with one that two keys have, is tried with each of them', async () => {
    const [one, two, stranger] = [await key('RS256'), await key('RS256'), await key('RS256')];
    const identify = identityStage({ jwt: config(file(one.jwk, two.jwk, keys.ES256.jwk)) });
    for (const own of [one, two]) expect(await tenantOf(identify, await sign(own))).toBe('acme');
    await expect(ask(identify, await sign(stranger))).rejects.toThrow(/signature verification failed/);
    // What is wrong with the token beside its key is said.
    await expect(ask(identify, await sign(two, { exp: seconds(-60) }))).rejects.toThrow(/"exp" claim/);
    const twice = [await key('ES256', 'same'), await key('ES256', 'same')] as const;
    const again = identityStage({ jwt: config(file(...twice.map(({ jwk }) => jwk))) });
    for (const own of twice) expect(await tenantOf(again, await sign(own))).toBe('acme');
  });

  it('for no audience in particular is taken with a line in the log', () => {
    const said: string[] = [];
    identityStage({ jwt: config(file(keys.RS256.jwk)) }, (line) => said.push(line));
    expect(said).toEqual([expect.stringContaining('identity.jwt has no audience')]);
    identityStage({ jwt: config(file(keys.RS256.jwk), { audience: 'mixgate' }) }, (line) => said.push(line));
    expect(said).toHaveLength(1);
  });

  it('serves so at a runtime as a whole', async () => {
    await using server = await startServer(SHIPPED_MODEL, (runtime) => {
      runtime.identity = { jwt: config(file(keys.ES256.jwk)) };
      runtime.tenants = { default: {} };
    });
    expect(server.logs.join('\n')).toContain('identity.jwt has no audience');
    const authorization = `Bearer ${await sign(keys.ES256)}`;
    expect((await server.get('/v1/models', { authorization })).status).toBe(200);
    expect((await server.get('/v1/models')).status).toBe(401);
  });
});

describe('keys at a URL', () => {
  const servers: Server[] = [];
  afterEach(async () => {
    vi.useRealTimers();
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
  type Answer = (response: ServerResponse) => void;
  const set =
    (jwks: JWK[], headers: Record<string, string> = {}): Answer =>
    (response) => {
      response.writeHead(200, headers).end(JSON.stringify({ keys: jwks }));
    };
  /** An issuer whose answer may be changed; `asked` counts requests. */
  async function issuer(first: Answer): Promise<{ url: string; answer: Answer; asked: number }> {
    const state = { url: '', answer: first, asked: 0 };
    const server = createServer((_request, response) => {
      state.asked++;
      state.answer(response);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
    return state;
  }
  const clock = (): { forward: (seconds: number) => void } => {
    let now = Date.now();
    vi.useFakeTimers({ toFake: ['Date'], now });
    return {
      forward: (by) => {
        now += by * 1000;
        vi.setSystemTime(now);
      },
    };
  };
  const OUTAGE = { status: 503, code: 'identity_unavailable' };

  it.each<[string, Record<string, string>, Partial<JwtConfig>, number]>([
    ['as long as is configured', {}, { jwksMaxAgeSeconds: 120 }, 120],
    ['ten minutes where nothing is', {}, {}, 600],
    ['as long as the server lets it be kept', { 'cache-control': 'public, max-age=60' }, {}, 60],
    ['less what a cache on the way kept it', { 'cache-control': 'max-age=60', age: '20' }, {}, 40],
    ['ten seconds where the server lets nothing be kept', { 'cache-control': 'no-store' }, {}, 10],
    ['never longer than is configured', { 'cache-control': 'max-age=86400' }, { jwksMaxAgeSeconds: 120 }, 120],
  ])('a key that is withdrawn lives %s', async (_name, headers, more, bound) => {
    const time = clock();
    const [old, next] = [await key('ES256', 'old'), await key('ES256', 'next')];
    const at = await issuer(set([old.jwk, next.jwk], headers));
    const identify = identityStage({ jwt: config(at.url, more) });
    const token = await sign(old, { exp: seconds(9000) });
    expect(await tenantOf(identify, token)).toBe('acme');
    at.answer = set([next.jwk], headers);
    // Before keys are asked for early, beside the request.
    time.forward(bound * 0.75);
    expect(await tenantOf(identify, token)).toBe('acme');
    expect(at.asked).toBe(1);
    time.forward(bound * 0.25 + 0.001);
    await expect(ask(identify, token)).rejects.toMatchObject({
      status: 401,
      message: expect.stringContaining('no applicable key'),
    });
    expect(await tenantOf(identify, await sign(next, { exp: seconds(9000) }))).toBe('acme');
  });

  it('are asked for before they are old, and no request waits for it', async () => {
    const time = clock();
    const own = keys.ES256;
    const at = await issuer(set([own.jwk]));
    const identify = identityStage({ jwt: config(at.url, { jwksMaxAgeSeconds: 100 }) });
    const token = await sign(own, { exp: seconds(9000) });
    await ask(identify, token);
    let release: () => void = () => {};
    at.answer = (response) => {
      release = () => set([own.jwk])(response);
    };
    time.forward(90);
    expect(await tenantOf(identify, token)).toBe('acme');
    await expect.poll(() => at.asked).toBe(2);
    expect(await tenantOf(identify, token)).toBe('acme');
    release();
    at.answer = set([own.jwk]);
    await expect
      .poll(async () => {
        await ask(identify, token);
        return at.asked;
      })
      .toBe(2);
    time.forward(50);
    expect(await tenantOf(identify, token)).toBe('acme');
    expect(at.asked).toBe(2);
  });

  it.each<[string, Answer]>([
    ['answers 500', (response) => void response.writeHead(500).end()],
    ['sends elsewhere', (response) => void response.writeHead(302, { location: '/other' }).end()],
    ['breaks off', (response) => void response.writeHead(200, { 'content-length': '1000' }).end('{')],
    ['has no keys', (response) => void response.writeHead(200).end('{"keys": []}')],
    ['never ends', (response) => void response.writeHead(200).end(`{"keys": [], "x": "${'x'.repeat(2 ** 20)}"}`)],
  ])('of a server that %s serve until they are too old, said once, and nothing after', async (_name, answer) => {
    const time = clock();
    const own = keys.ES256;
    const at = await issuer(set([own.jwk], { 'cache-control': 'max-age=60' }));
    const said: string[] = [];
    const identify = identityStage({ jwt: config(at.url, { jwksMaxAgeSeconds: 300, audience: 'm' }) }, (line) => said.push(line));
    const token = await sign(own, { aud: 'm', exp: seconds(9000) });
    await ask(identify, token);
    at.answer = answer;
    time.forward(70);
    for (let round = 0; round < 3; round++) expect(await tenantOf(identify, token)).toBe('acme');
    expect([at.asked, said]).toEqual([2, [expect.stringMatching(/^keys not renewed, the known ones stay .*\/jwks: /)]]);
    time.forward(230);
    await expect(ask(identify, token)).rejects.toMatchObject(OUTAGE);
    at.answer = set([own.jwk]);
    expect(await tenantOf(identify, token)).toBe('acme');
  });

  it('are asked for when one is missing, once in half a minute', async () => {
    const time = clock();
    const [own, next, stranger] = [keys.ES256, await key('ES256', 'next'), await key('ES256', 'stranger')];
    const at = await issuer(set([own.jwk]));
    const identify = identityStage({ jwt: config(at.url) });
    await ask(identify, await sign(own));
    time.forward(31);
    at.answer = set([own.jwk, next.jwk]);
    expect(await tenantOf(identify, await sign(next))).toBe('acme');
    for (let round = 0; round < 3; round++)
      await expect(ask(identify, await sign(stranger))).rejects.toThrow(/no applicable key/);
    expect(at.asked).toBe(2);
  });

  it('are asked for once by requests that come together', async () => {
    const own = keys.RS256;
    const at = await issuer(set([own.jwk]));
    const identify = identityStage({ jwt: config(at.url) });
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, index) => sign(own, { sub: String(index) })));
    expect((await Promise.all(tokens.map((token) => ask(identify, token)))).map(({ workload }) => workload)).toEqual(
      tokens.map((_, index) => String(index)),
    );
    expect(at.asked).toBe(1);
  });
});

it('a certificate counts whatever key a client of OpenAI sends, where no token could be known', async () => {
  const identify = identityStage({ mtls: { tenantFrom: 'O' } });
  const certificate = { subject: new Map([['O', ['acme']]]), uris: [], expires: new Date(Date.now() + 60_000) };
  expect(await identify({ authorization: 'Bearer sk-none', certificate })).toEqual({ tenant: 'acme', workload: 'acme' });
  await expect(identify({ authorization: 'Bearer sk-none', certificate: undefined })).rejects.toThrow(/client certificate/);
  const both = identityStage({ mtls: { tenantFrom: 'O' }, tokens: [{ sha256: '0'.repeat(64), tenant: 'x' }] });
  await expect(both({ authorization: 'Bearer sk-none', certificate })).rejects.toThrow(/bearer token is not known/);
});

it('what decides and comes over the network without TLS is named', () => {
  const of = (jwks: string, url: string, verify?: { key: string; algorithm: string }) =>
    plainHttp({
      identity: { jwt: config(jwks) },
      policy: { sources: [{ name: 'plane', url, ...(verify === undefined ? {} : { verify }) }], entrypoint: 'x', pollSeconds: 0 },
    });
  const verify = { key: 'k', algorithm: 'RS256' };
  expect(of('http://issuer/jwks', 'http://plane/b')).toEqual([
    expect.stringMatching(/^identity\.jwt\.jwks comes without TLS.*http:\/\/issuer/),
    expect.stringMatching(/^policy source plane comes without TLS and is not verified/),
  ]);
  expect(of('/etc/jwks.json', 'http://plane/b', verify)).toEqual([]);
  for (const host of ['http://localhost:1', 'http://127.0.0.1', 'http://[::1]:8080', 'https://plane'])
    expect(of(`${host}/jwks`, `${host}/b`)).toEqual([]);
  expect(of('http://localhost.evil.example/', 'http://127.0.0.1.evil.example/')).toHaveLength(2);
});
