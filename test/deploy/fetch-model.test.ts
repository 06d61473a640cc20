import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exec } from '../../src/tools/exec.ts';
import { ROOT } from '../support/cli.ts';

const SCRIPT = join(ROOT, 'reference-runtime/deploy/kubernetes/models/fetch.mjs');
const MODEL = Buffer.from('GGUF'.repeat(50_000));
const DIGEST = createHash('sha256').update(MODEL).digest('hex');

let dir = '';
let server: Server;
let requests: { range: string | undefined; authorization: string | undefined }[] = [];
/** Bytes after which the first answer breaks off. */
let breakAfter = Number.POSITIVE_INFINITY;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'mixgate-models-'));
  requests = [];
  breakAfter = Number.POSITIVE_INFINITY;
  server = createServer((request, response) => {
    const { range, authorization } = request.headers;
    requests.push({ range, authorization });
    const from = range === undefined ? 0 : Number(/^bytes=(?<from>\d+)-$/.exec(range)!.groups!['from']);
    if (from >= MODEL.length) return void response.writeHead(416).end();
    const rest = MODEL.subarray(from);
    response.writeHead(from === 0 ? 200 : 206, { 'content-length': rest.length });
    if (rest.length <= breakAfter) return void response.end(rest);
    response.write(rest.subarray(0, breakAfter), () => setTimeout(() => response.destroy(), 50));
    breakAfter = Number.POSITIVE_INFINITY;
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
});
afterEach(() => {
  server.close();
  server.closeAllConnections();
  rmSync(dir, { recursive: true, force: true });
});

const file = (): string => join(dir, 'model.gguf');
const run = (env: { readonly [name: string]: string } = {}) =>
  exec(process.execPath, [SCRIPT], {
    env: {
      MODEL_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.gguf`,
      MODEL_SHA256: DIGEST,
      MODEL_FILE: file(),
      ...env,
    },
  });

describe('fetch.mjs', () => {
  it('writes the model, and asks for nothing when it is there already', async () => {
    expect((await run({ MODEL_TOKEN: 'secret' })).code).toBe(0);
    expect(readFileSync(file()).equals(MODEL)).toBe(true);
    expect(requests).toEqual([{ range: undefined, authorization: 'Bearer secret' }]);
    expect(await run()).toMatchObject({ code: 0, stdout: expect.stringContaining('is there already') });
    expect(requests).toHaveLength(1);
  });
  it('keeps nothing that has another digest', async () => {
    const ran = await run({ MODEL_SHA256: 'a'.repeat(64) });
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining(`has the SHA-256 ${DIGEST}, not aaaa`) });
    expect([existsSync(file()), existsSync(`${file()}.part`)]).toEqual([false, false]);
  });
  it('goes on where a connection broke', async () => {
    breakAfter = 70_000;
    expect((await run()).code).toBe(1);
    expect(existsSync(file())).toBe(false);
    expect((await run()).code).toBe(0);
    expect(readFileSync(file()).equals(MODEL)).toBe(true);
    expect(requests[1]!.range).toMatch(/^bytes=[1-9]\d*-$/);
  });
  it('takes a download whose last step was lost', async () => {
    writeFileSync(`${file()}.part`, MODEL);
    expect((await run()).code).toBe(0);
    expect(readFileSync(file()).equals(MODEL)).toBe(true);
  });
  it.each([
    [{ MODEL_SHA256: '0'.repeat(64) }, /is not a digest/],
    [{ MODEL_URL: 'http://127.0.0.1:9/x' }, /^fetch: fetch failed \(/],
  ])('ends with a sentence: %j', async (env, message) => {
    const ran = await run(env);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(message);
    expect(ran.stderr.trim().split('\n')).toHaveLength(1);
  });
});
