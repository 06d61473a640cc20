// Client certificates as a real openssl makes them: chains, purposes, revocation, and authorities that change while connections are open.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request as httpsRequest, type Server } from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SHIPPED_MODEL } from '../src/config/dev.ts';
import { ConfigurationError } from '../src/config/load.ts';
import { ServerCertificate } from '../src/server/certificate.ts';
import { temporary } from './support/models.ts';
import { startServer, type TestServer } from './support/server.ts';

const dir = temporary();
afterAll(dir.remove);
const openssl = (...args: string[]): string =>
  execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], cwd: dir.path });
const read = (name: string): string => readFileSync(dir.file(name), 'utf8');

/** A certificate with its key, `NAME.crt` and `NAME.key`, by `issuer` or by itself. */
function issue(name: string, subject: string, extensions: string, issuer?: string): void {
  openssl(
    'req',
    '-new',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-utf8',
    '-multivalue-rdn',
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.csr`,
    '-subj',
    subject,
  );
  writeFileSync(dir.file(`${name}.ext`), extensions);
  const by =
    issuer === undefined ? ['-key', `${name}.key`] : ['-CA', `${issuer}.crt`, '-CAkey', `${issuer}.key`, '-CAcreateserial'];
  openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-days', '2', '-extfile', `${name}.ext`, '-out', `${name}.crt`);
}
const CA = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n';
const CLIENT = 'basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n';

/** The revocation list of an authority, `NAME.crl`. */
function revoke(authority: string, ...names: string[]): void {
  mkdirSync(dir.file(authority), { recursive: true });
  writeFileSync(dir.file(`${authority}/index`), '');
  writeFileSync(dir.file(`${authority}/number`), '01');
  writeFileSync(
    dir.file(`${authority}.cnf`),
    `[ca]\ndefault_ca=x\n[x]\ndatabase=${authority}/index\ncrlnumber=${authority}/number\ndefault_md=sha256\ndefault_crl_days=2\n`,
  );
  const ca = ['ca', '-config', `${authority}.cnf`, '-cert', `${authority}.crt`, '-keyfile', `${authority}.key`];
  for (const name of names) openssl(...ca, '-revoke', `${name}.crt`);
  openssl(...ca, '-gencrl', '-out', `${authority}.crl`);
}

interface Client {
  cert: string;
  key: string;
}
const client = (name: string, ...chain: string[]): Client => ({
  cert: [name, ...chain].map((each) => read(`${each}.crt`)).join(''),
  key: read(`${name}.key`),
});

let server: TestServer;
let url: string;
const tls = {
  cert: dir.file('server.crt'),
  key: dir.file('server.key'),
  clientCa: dir.file('clients.crt'),
  clientCrl: dir.file('clients.crl'),
};

beforeAll(async () => {
  issue('root', '/CN=root', CA);
  issue('middle', '/CN=middle', CA, 'root');
  issue('server', '/CN=localhost', 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n', 'root');
  issue('web', '/O=dev/CN=web', CLIENT, 'middle');
  issue('stolen', '/O=dev/CN=stolen', CLIENT, 'middle');
  issue('wrong', '/O=dev/CN=wrong', 'extendedKeyUsage=serverAuth\n', 'middle');
  issue('named', '/O=Bäck, Söhne "q"+CN=web', CLIENT, 'middle');
  issue('next', '/CN=next', CA);
  issue('later', '/O=dev/CN=later', CLIENT, 'next');
  revoke('root');
  revoke('middle', 'stolen');
  writeFileSync(tls.clientCa, read('root.crt'));
  writeFileSync(tls.clientCrl, read('root.crl') + read('middle.crl'));
  server = await startServer(SHIPPED_MODEL, (config) => {
    config.listen.tls = tls;
    config.identity = { mtls: { tenantFrom: 'O' } };
  });
  url = server.url.replace('http://127.0.0.1', 'https://localhost');
});
afterAll(() => server[Symbol.asyncDispose]());

interface Answer {
  status: number;
  message: string;
}
function ask(who: Client, options: { agent?: Agent; path?: string; body?: object } = {}): Promise<Answer> {
  const { agent, path = '/v1/models', body } = options;
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      `${url}${path}`,
      {
        ca: read('root.crt'),
        ...who,
        agent: agent ?? false,
        method: body === undefined ? 'GET' : 'POST',
        headers: { 'content-type': 'application/json' },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({
            status: response.statusCode ?? 0,
            message: /"message":"(?<message>[^"]*)/.exec(text)?.groups?.['message'] ?? '',
          });
        });
      },
    );
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
const refresh = (): boolean => server.runtime.certificate!.refresh(server.http as unknown as Server);

describe('a client certificate', () => {
  it.each<[string, () => Client, number, RegExp]>([
    ['with the authority between that it comes from', () => client('web', 'middle'), 200, /^$/],
    ['without it', () => client('web'), 401, /UNABLE_TO_(?:VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT)/],
    ['for servers', () => client('wrong', 'middle'), 401, /INVALID_PURPOSE/],
    ['that was revoked', () => client('stolen', 'middle'), 401, /CERT_REVOKED/],
    ['of an authority that is not trusted', () => client('later'), 401, /UNABLE_TO|SELF_SIGNED/],
  ])('%s is judged', async (_name, who, status, message) => {
    expect(await ask(who())).toEqual({ status, message: expect.stringMatching(message) });
  });

  it('has its tenant by the letters of its subject, not by how they are escaped', async () => {
    let tenant: string | undefined;
    const { quotas } = server.runtime;
    const enter = quotas.enter.bind(quotas);
    quotas.enter = (name, now) => {
      tenant = name;
      return enter(name, now);
    };
    await ask(client('named', 'middle'), { path: '/v1/completions', body: { prompt: 'x' } });
    quotas.enter = enter;
    expect(tenant).toBe('Bäck, Söhne "q"');
  });
});

describe('trust that changes', () => {
  it('ends connections that are open, without a request that fails, and old sessions are not taken up again', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const other = new Agent({ keepAlive: true, maxSockets: 1 });
    try {
      expect(await ask(client('web', 'middle'), { agent })).toMatchObject({ status: 200 });
      const body = { model: 'mixtral-micro', prompt: 'The', max_tokens: 200, temperature: 0, stream: true };
      revoke('middle', 'stolen', 'web');
      writeFileSync(tls.clientCrl, read('root.crl') + read('middle.crl'));
      const running = ask(client('web', 'middle'), { agent: other, path: '/v1/completions', body });
      while (server.runtime.inFlight === 0) await new Promise(setImmediate);
      expect(refresh()).toBe(true);
      expect(await running).toMatchObject({ status: 200 });
      for (const each of [agent, other])
        expect(await ask(client('web', 'middle'), { agent: each })).toEqual({
          status: 401,
          message: expect.stringMatching(/CERT_REVOKED/),
        });
    } finally {
      agent.destroy();
      other.destroy();
    }
  });

  it('takes another authority beside the first, and then in place of it', async () => {
    revoke('middle');
    revoke('next');
    const lists = read('root.crl') + read('middle.crl') + read('next.crl');
    writeFileSync(tls.clientCrl, lists);
    writeFileSync(tls.clientCa, read('root.crt') + read('next.crt'));
    expect(refresh()).toBe(true);
    for (const who of [client('web', 'middle'), client('later')]) expect(await ask(who)).toMatchObject({ status: 200 });
    writeFileSync(tls.clientCa, read('next.crt'));
    expect(refresh()).toBe(true);
    expect(await ask(client('web', 'middle'))).toMatchObject({ status: 401 });
    expect(await ask(client('later'))).toMatchObject({ status: 200 });
    // A file of no lists is no reason to trust everybody.
    writeFileSync(tls.clientCrl, 'none');
    expect(() => refresh()).toThrow(/clients.crl: expected certificate revocation lists in PEM/);
    expect(await ask(client('later'))).toMatchObject({ status: 200 });
  });

  it('needs files that are what they should be', () => {
    writeFileSync(dir.file('broken.crl'), '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n');
    expect(() => new ServerCertificate({ ...tls, clientCrl: dir.file('broken.crl') })).toThrow(ConfigurationError);
  });
});
