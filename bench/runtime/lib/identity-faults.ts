// What can go wrong with who is asking, on a server of its own with TLS: the issuer's key set is gone, a client's certificate expires on an open
// connection, the server's own certificate expires and is renewed. Real X.509, made here, with lifetimes of seconds.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Agent, request } from 'node:https';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { authority, type Pair } from '../../../reference-runtime/test/support/authority.ts';
import { freePort } from '../../../scripts/lib/free-port.ts';
import { MICRO, startOurs } from './server.ts';

/** A fault: whether every request was answered as it must be, and whether the metrics showed it. */
export interface FaultResult {
  name: string;
  ok: boolean;
  detail: string;
}

/** How long the certificates that must expire are valid: loading the model comes off it. */
const LIFE_MS = 20_000;
/** The server looks at its files every 10 s. */
const RENEWAL_MS = 30_000;
const HANG_MS = 15_000;

export async function identityFaults(): Promise<FaultResult[]> {
  const results: FaultResult[] = [];
  const say = (name: string, ok: boolean, detail: string): unknown => results.push({ name, ok, detail });
  const fleet = await authority('bench fleet');
  const folder = mkdtempSync(join(tmpdir(), 'mixgate-identity-'));
  const tls = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key'), clientCa: join(folder, 'ca.crt') };
  const install = (pair: Pair): void => {
    writeFileSync(tls.cert, pair.cert);
    writeFileSync(tls.key, pair.key);
  };
  const uris = ['spiffe://bench/ns/a/sa/b'];
  const expiry = new Date(Date.now() + LIFE_MS);
  const client = await fleet.issue('O=dev, CN=client', { uris });
  const shortLived = await fleet.issue('O=dev, CN=short', { uris, notAfter: expiry });
  install(await fleet.issue('CN=first', { dns: ['localhost'], notAfter: expiry }));
  writeFileSync(tls.clientCa, fleet.ca);
  const issuer = await startIssuer();
  const port = await freePort();
  const peer = await startOurs(
    MICRO,
    { sequences: 2, context: 512 },
    {
      listen: { port, tls },
      identity: {
        mtls: { tenantFrom: 'O', trustDomain: 'bench' },
        jwt: { jwks: `http://127.0.0.1:${issuer.port}/jwks.json`, algorithms: ['ES256'] },
      },
    },
    { https: true },
  );
  const agents = { client: agentOf(client), short: agentOf(shortLived), none: agentOf() };
  /** The status, the reason where it is an error, and what the connection failed with; never waits longer than HANG_MS. */
  async function ask(agent: Agent, headers: Record<string, string> = {}, trusting = false): Promise<string> {
    const body = JSON.stringify({ prompt: 'The', max_tokens: 1 });
    const answer = await send(`${peer.url}/v1/completions`, { agent, headers, body, ca: fleet.ca, trusting });
    if (answer.status === undefined) return answer.failed ?? 'no answer';
    if (answer.status === 200) return '200';
    return `${answer.status} ${(JSON.parse(answer.text) as { error: { code: string } }).error.code}`;
  }
  async function metric(name: string, ...labels: string[]): Promise<number> {
    const { text } = await send(`${peer.url}/metrics`, { agent: agents.none, headers: {}, ca: fleet.ca, trusting: true });
    const lines = text.split('\n').filter((line) => line.startsWith(name) && labels.every((label) => line.includes(label)));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }
  const bearer = async (): Promise<Record<string, string>> => ({ authorization: `Bearer ${await issuer.token()}` });
  try {
    await issuer.stop();
    const gone = await ask(agents.none, await bearer());
    const seen = await metric('mixgate_rejections_total', 'mixgate_reason="identity_unavailable"');
    say(
      'key set of the issuer gone: 503, and counted',
      gone === '503 identity_unavailable' && seen === 1,
      `${gone}, ${seen} counted`,
    );
    const beside = await ask(agents.client);
    say('others are served meanwhile', beside === '200', beside);
    await issuer.restart();
    const back = await ask(agents.none, await bearer());
    await issuer.stop();
    const known = await ask(agents.none, await bearer());
    say(
      'key set back: served, and by the keys that are known when it goes again',
      back === '200' && known === '200',
      `${back}, ${known}`,
    );

    const before = await ask(agents.short);
    await sleep(Math.max(0, expiry.getTime() - Date.now()) + 1500);
    const after = [await ask(agents.short, {}, true), await ask(agentOf(shortLived), {}, true)];
    const refused = await metric('mixgate_rejections_total', 'mixgate_stage="identity"', 'mixgate_reason="invalid_token"');
    say(
      "client's certificate expires: 401 on the open connection and on a new one, and counted",
      before === '200' && after.every((status) => status === '401 invalid_token') && refused === 2,
      `${before}, then ${after.join(', ')}, ${refused} counted`,
    );
    const strict = await ask(agentOf(client));
    const until = (await metric('mixgate_certificate_expiry_timestamp_seconds')) - Date.now() / 1000;
    say(
      "server's certificate expired: clients that check it stay away, and the metric says so",
      strict === 'CERT_HAS_EXPIRED' && until < 0,
      `${strict}, expired for ${(-until).toFixed(0)} s`,
    );
    install(await fleet.issue('CN=second', { dns: ['localhost'] }));
    const renewed = Date.now();
    let served = '';
    while (served !== '200' && Date.now() - renewed < RENEWAL_MS) {
      served = await ask(agentOf(client));
      await sleep(250);
    }
    const left = (await metric('mixgate_certificate_expiry_timestamp_seconds')) - Date.now() / 1000;
    say(
      'renewed without a restart',
      served === '200' && left > 0,
      `${served} after ${((Date.now() - renewed) / 1000).toFixed(0)} s, valid for ${(left / 3600).toFixed(0)} h`,
    );
  } finally {
    for (const agent of Object.values(agents)) agent.destroy();
    peer.stop();
    await issuer.stop();
  }
  return results;
}

function agentOf(client?: Pair): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1, ...client });
}

interface Answer {
  status?: number;
  text: string;
  /** The error's code where there was no answer. */
  failed?: string;
}

function send(
  url: string,
  options: { agent: Agent; headers: Record<string, string>; body?: string; ca: string; trusting: boolean },
): Promise<Answer> {
  const { agent, headers, body, ca, trusting } = options;
  return new Promise((resolve) => {
    const call = request(
      url,
      {
        agent,
        ca,
        rejectUnauthorized: !trusting,
        method: body === undefined ? 'GET' : 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        signal: AbortSignal.timeout(HANG_MS),
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    call.on('error', (error: NodeJS.ErrnoException) => resolve({ text: 'failed', failed: error.code ?? error.name }));
    call.end(body);
  });
}

interface Issuer {
  port: number;
  token(): Promise<string>;
  stop(): Promise<void>;
  restart(): Promise<void>;
}

/** An issuer of tokens whose key set can go away and come back on the same port. */
async function startIssuer(): Promise<Issuer> {
  const jose = (await import(
    createRequire(new URL('../../../reference-runtime/package.json', import.meta.url)).resolve('jose')
  )) as typeof import('../../../reference-runtime/node_modules/jose/dist/types/index.js');
  const keys = await jose.generateKeyPair('ES256', { extractable: true });
  const set = JSON.stringify({ keys: [{ ...(await jose.exportJWK(keys.publicKey)), kid: 'k', alg: 'ES256' }] });
  const server = createServer((_request, response) => response.end(set));
  const listen = (port: number): Promise<void> => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    token: () =>
      new jose.SignJWT({ tenant: 'dev' })
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .setExpirationTime('5m')
        .sign(keys.privateKey),
    async stop() {
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
    restart: () => listen(port),
  };
}
