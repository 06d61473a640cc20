import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { SHIPPED_MODEL } from '../src/config/dev.ts';
import { ConfigurationError, parseConfig } from '../src/config/load.ts';
import type { RuntimeConfig } from '../src/config/types.ts';
import { ServerCertificate } from '../src/server/certificate.ts';
import { identityStage } from '../src/server/identity.ts';
import { type Authority, authority, type Pair } from './support/authority.ts';
import { temporary } from './support/models.ts';
import { metric, startServer, type TestServer } from './support/server.ts';

const dir = temporary();
afterAll(dir.remove);

interface Answer {
  status: number;
  body: string;
  /** Common name of the certificate that the server showed. */
  server: string;
}

/** A request on a connection of its own unless `agent` is given. */
function ask(
  url: string,
  path: string,
  options: { ca: string; client?: Pair; headers?: Record<string, string>; agent?: Agent; body?: object },
): Promise<Answer> {
  const { ca, client, headers = {}, agent, body } = options;
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      `${url}${path}`,
      {
        ca,
        ...client,
        method: body === undefined ? 'GET' : 'POST',
        agent: agent ?? false,
        headers: { 'content-type': 'application/json', ...headers },
      },
      (response) => {
        const socket = response.socket as import('node:tls').TLSSocket;
        const server = String(socket.getPeerCertificate().subject?.CN ?? '');
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8'), server }),
        );
      },
    );
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const BODY = { model: 'mixtral-micro', prompt: 'The', max_tokens: 2, temperature: 0 };
const TOKEN = 'a-token';

describe('client certificates', () => {
  let trusted: Authority;
  let foreign: Authority;
  let server: TestServer;
  let url: string;
  const files = { cert: dir.file('tls.crt'), key: dir.file('tls.key'), clientCa: dir.file('ca.crt') };
  const install = (pair: Pair): void => {
    writeFileSync(files.cert, pair.cert);
    writeFileSync(files.key, pair.key);
  };
  beforeAll(async () => {
    trusted = await authority('fleet');
    foreign = await authority('elsewhere');
    install(await trusted.issue('CN=first', { dns: ['localhost'] }));
    writeFileSync(files.clientCa, trusted.ca);
    server = await startServer(SHIPPED_MODEL, (config) => {
      config.listen.tls = files;
      config.identity = {
        mtls: { tenantFrom: 'O', trustDomain: 'fleet.example' },
        tokens: [{ sha256: createHash('sha256').update(TOKEN).digest('hex'), tenant: 'dev' }],
      };
    });
    url = server.url.replace('http://127.0.0.1', 'https://localhost');
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const WORKLOAD = 'spiffe://fleet.example/ns/chat/sa/web';

  it('give tenant and workload, and the request is served', async () => {
    const client = await trusted.issue('O=dev, CN=web', { uris: [WORKLOAD] });
    const answer = await ask(url, '/v1/completions', { ca: trusted.ca, client, body: BODY });
    expect(answer).toMatchObject({ status: 200, server: 'first' });
    expect(JSON.parse(answer.body)).toMatchObject({ object: 'text_completion' });
  });

  it.each<[string, () => Promise<Pair | undefined>, RegExp]>([
    ['none', async () => undefined, /a client certificate or a bearer token is needed/],
    [
      'one of another authority',
      () => foreign.issue('O=dev, CN=web', { uris: [WORKLOAD] }),
      /not trusted: \w*(UNABLE|SELF_SIGNED)\w*/,
    ],
    [
      'an expired one',
      () => trusted.issue('O=dev, CN=web', { uris: [WORKLOAD], notAfter: new Date(Date.now() - 60_000) }),
      /not trusted: CERT_HAS_EXPIRED/,
    ],
    ['one without a tenant', () => trusted.issue('CN=web', { uris: [WORKLOAD] }), /names no O, which is the tenant/],
    ['one with two tenants', () => trusted.issue('O=dev, O=other, CN=web', { uris: [WORKLOAD] }), /names more than one O/],
    ['one without an id', () => trusted.issue('O=dev, CN=web'), /has no SPIFFE id of the trust domain fleet.example/],
    [
      'one of another trust domain',
      () => trusted.issue('O=dev, CN=web', { uris: ['spiffe://fleet.example.evil/ns/chat'] }),
      /has no SPIFFE id/,
    ],
    ['one with two ids', () => trusted.issue('O=dev, CN=web', { uris: [WORKLOAD, `${WORKLOAD}2`] }), /has no SPIFFE id/],
  ])('%s is refused, and says why', async (_name, issue, message) => {
    const client = await issue();
    const answer = await ask(url, '/v1/completions', { ca: trusted.ca, body: BODY, ...(client === undefined ? {} : { client }) });
    expect(answer.status).toBe(401);
    expect((JSON.parse(answer.body) as { error: { message: string } }).error.message).toMatch(message);
  });

  it('a bearer token serves as well, and a wrong one is not saved by a certificate', async () => {
    const client = await trusted.issue('O=dev, CN=web', { uris: [WORKLOAD] });
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
    expect(await ask(url, '/v1/models', { ca: trusted.ca, headers: bearer(TOKEN) })).toMatchObject({ status: 200 });
    expect(await ask(url, '/v1/models', { ca: trusted.ca, client, headers: bearer('wrong') })).toMatchObject({ status: 401 });
  });

  it('probes and metrics need none; the expiry of the own certificate is a metric', async () => {
    expect(await ask(url, '/readyz', { ca: trusted.ca })).toMatchObject({ status: 200 });
    const text = (await ask(url, '/metrics', { ca: trusted.ca })).body;
    const expiry = metric(text, 'mixgate_certificate_expiry_timestamp_seconds')!;
    expect(Math.abs(expiry - (Date.now() / 1000 + 86_400))).toBeLessThan(600);
  });

  it('a connection whose certificate expires meanwhile is not served any more', async () => {
    const client = await trusted.issue('O=dev, CN=web', { uris: [WORKLOAD], notAfter: new Date(Date.now() + 2500) });
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: trusted.ca, ...client });
    try {
      expect(await ask(url, '/v1/models', { ca: trusted.ca, client, agent })).toMatchObject({ status: 200 });
      await new Promise((resolve) => setTimeout(resolve, 3500));
      const answer = await ask(url, '/v1/models', { ca: trusted.ca, client, agent });
      expect(answer.status).toBe(401);
      expect(answer.body).toContain('has expired');
    } finally {
      agent.destroy();
    }
  });

  it('a renewed certificate is shown to new connections without a restart, a broken one leaves the old', async () => {
    const { certificate } = server.runtime;
    const https = (await import('node:https')).createServer(certificate!.options);
    expect(certificate!.refresh(https)).toBe(false);
    install(await trusted.issue('CN=second', { dns: ['localhost'] }));
    expect(certificate!.refresh(https)).toBe(true);
    writeFileSync(files.key, (await trusted.issue('CN=third')).key);
    expect(() => certificate!.refresh(https)).toThrow(ConfigurationError);
    await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve));
    https.on('request', (_request, response) => response.end('ok'));
    const port = (https.address() as import('node:net').AddressInfo).port;
    expect(await ask(`https://localhost:${port}`, '/', { ca: trusted.ca })).toMatchObject({ server: 'second' });
    https.closeAllConnections();
    await new Promise((resolve) => https.close(resolve));
  });

  it('files that are no certificate and key are refused at start', async () => {
    const other = { cert: dir.file('x.crt'), key: dir.file('x.key') };
    const [a, b] = [await trusted.issue('CN=a'), await trusted.issue('CN=b')];
    writeFileSync(other.cert, a.cert);
    writeFileSync(other.key, b.key);
    expect(() => new ServerCertificate(other)).toThrow(/x.crt: not a certificate with the key .*x.key/);
    expect(() => new ServerCertificate({ ...other, cert: dir.file('gone') })).toThrow(/gone: cannot be read/);
  });
});

describe('a JWKS file', () => {
  it('is read again when its keys are rotated, and a broken one leaves the keys that are known', async () => {
    const file = dir.file('jwks.json');
    const pair = async (kid: string) => {
      const keys = await generateKeyPair('ES256', { extractable: true });
      return { kid, ...keys, jwk: { ...(await exportJWK(keys.publicKey)), kid, alg: 'ES256' } };
    };
    const [old, next] = [await pair('old'), await pair('next')];
    const token = (keys: typeof old): Promise<string> =>
      new SignJWT({ tenant: 'acme', aud: 'mixgate' })
        .setProtectedHeader({ alg: 'ES256', kid: keys.kid })
        .setExpirationTime('5m')
        .sign(keys.privateKey);
    writeFileSync(file, JSON.stringify({ keys: [old.jwk] }));
    const logs: string[] = [];
    const identify = identityStage(
      { jwt: { jwks: file, jwksMaxAgeSeconds: 600, audience: 'mixgate', tenantClaim: 'tenant', algorithms: ['ES256'] } },
      (line) => logs.push(line),
    );
    const bearer = async (keys: typeof old) => identify({ authorization: `Bearer ${await token(keys)}`, certificate: undefined });
    await expect(bearer(old)).resolves.toEqual({ tenant: 'acme', workload: 'acme' });
    await expect(bearer(next)).rejects.toThrow(/no applicable key/);
    writeFileSync(file, JSON.stringify({ keys: [next.jwk] }));
    await expect
      .poll(
        () =>
          bearer(next).then(
            () => true,
            () => false,
          ),
        { timeout: 10_000, interval: 300 },
      )
      .toBe(true);
    await expect(bearer(old)).rejects.toThrow();
    expect(logs).toEqual([]);
    writeFileSync(file, 'broken');
    // Twice, and said once.
    for (let look = 0; look < 2; look++) {
      await new Promise((resolve) => setTimeout(resolve, 1200));
      await expect(bearer(next)).resolves.toMatchObject({ tenant: 'acme' });
    }
    expect(logs).toEqual([expect.stringMatching(/^keys not renewed, the known ones stay: .*jwks\.json: not a JWKS file/)]);
  });
});

describe('a token that was verified', () => {
  it('is known for a minute, not longer than it is valid, and not by its look', async () => {
    const file = dir.file('known.json');
    const keys = await generateKeyPair('ES256', { extractable: true });
    writeFileSync(file, JSON.stringify({ keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'k', alg: 'ES256' }] }));
    const identify = identityStage({ jwt: { jwks: file, jwksMaxAgeSeconds: 600, tenantClaim: 'tenant', algorithms: ['ES256'] } });
    const start = Date.now();
    const sign = (seconds: number): Promise<string> =>
      new SignJWT({ tenant: 'acme', sub: 'web' })
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .setExpirationTime(Math.floor(start / 1000) + seconds)
        .sign(keys.privateKey);
    const bearer = async (token: string) => identify({ authorization: `Bearer ${token}`, certificate: undefined });
    const verify = vi.spyOn(globalThis.crypto.subtle, 'verify');
    vi.useFakeTimers({ toFake: ['Date'], now: start });
    try {
      const [short, long] = [await sign(20), await sign(3600)];
      for (const token of [short, short, long, long, long])
        expect(await bearer(token)).toEqual({ tenant: 'acme', workload: 'web' });
      expect(verify).toHaveBeenCalledTimes(2);
      // The first character of a signature counts in full; the last one may hold bits that nobody reads.
      const at = long.lastIndexOf('.') + 1;
      const forged = `${long.slice(0, at)}${long[at] === 'A' ? 'B' : 'A'}${long.slice(at + 1)}`;
      await expect(bearer(forged)).rejects.toMatchObject({ status: 401 });
      // Five seconds of tolerance between clocks, as when it is verified.
      vi.setSystemTime(start + 26_000);
      await expect(bearer(short)).rejects.toThrow(/"exp" claim timestamp check failed/);
      verify.mockClear();
      expect(await bearer(long)).toMatchObject({ tenant: 'acme' });
      expect(verify).not.toHaveBeenCalled();
      vi.setSystemTime(start + 61_000);
      expect(await bearer(long)).toMatchObject({ tenant: 'acme' });
      expect(verify).toHaveBeenCalledTimes(1);
    } finally {
      vi.useRealTimers();
      verify.mockRestore();
    }
  });
});

describe('a JWKS at a URL', () => {
  it('that is away, or answers something else, is an outage of identity and not a bad token', async () => {
    const keys = await generateKeyPair('ES256', { extractable: true });
    const set = JSON.stringify({ keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'k', alg: 'ES256' }] });
    const token = await new SignJWT({ tenant: 'acme' })
      .setProtectedHeader({ alg: 'ES256', kid: 'k' })
      .setExpirationTime('5m')
      .sign(keys.privateKey);
    const forged = `${token.slice(0, -8)}AAAAAAAA`;
    let answer: readonly [number, string] = [500, 'oops'];
    const issuer = createServer((_request, response) => response.writeHead(answer[0]).end(answer[1]));
    await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
    const jwks = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/`;
    const identify = identityStage({ jwt: { jwks, jwksMaxAgeSeconds: 600, tenantClaim: 'tenant', algorithms: ['ES256'] } });
    const bearer = async (value: string) => identify({ authorization: `Bearer ${value}`, certificate: undefined });
    const outage = { status: 503, code: 'identity_unavailable' };
    for (answer of [
      [500, 'oops'],
      [200, 'no JSON'],
      [200, '{"keys": 1}'],
    ] as const)
      await expect(bearer(token)).rejects.toMatchObject(outage);
    answer = [200, set];
    await expect(bearer(token)).resolves.toMatchObject({ tenant: 'acme' });
    issuer.closeAllConnections();
    await new Promise((resolve) => issuer.close(resolve));
    // By the keys that are known, and those alone.
    await expect(bearer(token)).resolves.toMatchObject({ tenant: 'acme' });
    await expect(bearer(forged)).rejects.toMatchObject({ status: 401 });
    const fresh = identityStage({ jwt: { jwks, jwksMaxAgeSeconds: 600, tenantClaim: 'tenant', algorithms: ['ES256'] } });
    await expect(fresh({ authorization: `Bearer ${token}`, certificate: undefined })).rejects.toMatchObject(outage);
  });
});

describe('the configuration', () => {
  const text = (listen: string, identity: string): string =>
    `model: {path: ${SHIPPED_MODEL}, id: m, version: 1.0.0}\nlisten: ${listen}\npolicy: {bundle: ${dir.file('.')}}\nidentity: ${identity}\npools:\n  - {id: p, cluster: c, region: r, jurisdiction: EU, accelerator: cpu, model: m, version: 1.0.0, engine: local}\n`;
  const parse = (listen: string, identity: string): RuntimeConfig =>
    parseConfig(text(listen, identity), 'runtime.yaml', '/etc/mixgate');

  it('refuses certificates that are not there, and client certificates without authorities', () => {
    expect(() => parse('{tls: {cert: a.crt, key: a.key}}', '{mtls: {}}')).toThrow(
      /runtime.yaml:2:22: listen.tls.cert: no such file: \/etc\/mixgate\/a.crt[\s\S]*listen.tls.key[\s\S]*identity.mtls: needs listen.tls.clientCa/,
    );
  });

  it('takes the tenant from O where nothing else is said', () => {
    for (const name of ['s.crt', 's.key', 's.ca']) writeFileSync(dir.file(name), '');
    const config = parse(
      `{tls: {cert: ${dir.file('s.crt')}, key: ${dir.file('s.key')}, clientCa: ${dir.file('s.ca')}}}`,
      '{mtls: {trustDomain: fleet.example}}',
    );
    expect(config.identity.mtls).toEqual({ tenantFrom: 'O', trustDomain: 'fleet.example' });
  });
});
