// How a runtime in a container ends and says that it is well: what Kubernetes and Docker ask of process 1.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { startRuntimeProcess } from '../../scripts/lib/runtime-process.ts';
import { wholeLines } from './support/lines.ts';
import { microModel, temporary } from './support/models.ts';

const CLI = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
const BUNDLE = fileURLToPath(new URL('../dev-policy/bundle', import.meta.url));
const TOKEN = 'a-token-of-this-test';
const dir = temporary();
afterAll(dir.remove);

/** A configuration as a deployment has one: an identity, and a context in which an answer may take long. */
function configuration(name: string, more: object = {}): string {
  const file = dir.file(name);
  const pool = { id: 'p', cluster: 'c', region: 'r', jurisdiction: 'j', trust_zone: 'z', accelerator: 'cpu' };
  const config = {
    listen: { host: '0.0.0.0', port: 8080 },
    cluster: 'c',
    model: { path: microModel(), id: 'm', version: '1.0.0', context: 16_384, sequences: 2, threads: 1 },
    policy: { bundle: BUNDLE },
    identity: { tokens: [{ sha256: createHash('sha256').update(TOKEN).digest('hex'), tenant: 'dev' }] },
    pools: [{ ...pool, model: 'm', version: '1.0.0', engine: 'local' }],
    ...more,
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

/** A configuration whose bundle service never answers: a start as long as one likes. */
async function loadsForever(name: string): Promise<{ service: Server; config: string }> {
  const service = createServer();
  service.listen(0, '127.0.0.1');
  await once(service, 'listening');
  const { port } = service.address() as { port: number };
  const policy = { sources: [{ name: 'slow', url: `http://127.0.0.1:${port}/bundle.tar.gz` }] };
  return { service, config: configuration(name, { policy }) };
}

/** Of a process; empty when it is gone. */
function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

function parentOf(pid: string): number | undefined {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return undefined;
  }
}

async function run(...args: string[]): Promise<{ code: number | null; signal: string | null; stderr: string }> {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, stderr };
}

const ask = (url: string): Promise<Response> =>
  fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ model: 'm', prompt: 'The', max_tokens: 16_000, stream: true, temperature: 1, seed: 1 }),
  });

describe('the end', () => {
  it('answers what a drain has no time for with 503 draining, as the last event of its stream, and ends', async () => {
    const [decisions, spans] = [dir.file('decisions.ndjson'), dir.file('spans.ndjson')];
    const telemetry = { decisionLog: { file: decisions }, traces: { file: spans } };
    const config = configuration('drain.json', { limits: { drainMs: 200 }, telemetry });
    await using runtime = await startRuntimeProcess(['--config', config]);
    const ended = once(runtime.child, 'close');
    const response = await ask(runtime.url);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await reader.read()).value ?? '';
    runtime.signal('SIGTERM');
    for (let step = await reader.read(); !step.done; step = await reader.read()) text += step.value;
    const events = text.trim().split('\n\n');
    expect(events.at(-1)).toBe('data: [DONE]');
    expect(JSON.parse(events.at(-2)!.slice('data: '.length))).toMatchObject({
      error: { type: 'service_unavailable', code: 'draining' },
    });
    expect(await ended).toEqual([0, null]);
    // What waited to be written is: its line and its spans.
    expect([wholeLines(decisions).length, wholeLines(spans).length]).toEqual([1, 1]);
  });

  it('takes two signals of one Ctrl-C for one, sends who comes now elsewhere, and is cut short by a second', async () => {
    await using runtime = await startRuntimeProcess(['--config', configuration('twice.json', { limits: { drainMs: 600_000 } })]);
    const ended = once(runtime.child, 'close');
    const response = await ask(runtime.url);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    const rest = (async () => {
      for (let step = await reader.read(); !step.done; step = await reader.read()) text += step.value;
    })();
    // The terminal's, and the one that the launcher passes on.
    for (const signal of ['SIGINT', 'SIGINT'] as const) runtime.signal(signal);
    await new Promise((resolve) => setTimeout(resolve, 1200));
    const late = await ask(runtime.url);
    expect([late.status, late.headers.get('connection'), await late.json()]).toEqual([
      503,
      'close',
      { error: expect.objectContaining({ code: 'draining' }) },
    ]);
    const still = text;
    runtime.signal('SIGINT');
    await rest;
    expect(still.length).toBeGreaterThan(0);
    expect(still).not.toContain('draining');
    expect(text).toMatch(/"code":"draining".*\n\ndata: \[DONE\]\n\n$/);
    expect(await ended).toEqual([0, null]);
  });

  it('closes the connection of a client that reads nothing, and ends', async () => {
    await using runtime = await startRuntimeProcess(['--config', configuration('stuck.json', { limits: { drainMs: 0 } })]);
    const ended = once(runtime.child, 'close');
    // Its body is never read: the stream backs up into the runtime.
    const response = await ask(runtime.url);
    runtime.signal('SIGTERM');
    expect(await ended).toEqual([0, null]);
    await response.body!.cancel().catch(() => undefined);
  });

  it('does not wait for requests that never arrive whole', async () => {
    await using runtime = await startRuntimeProcess(['--config', configuration('half.json')]);
    const ended = once(runtime.child, 'close');
    const { port } = new URL(runtime.url);
    const head =
      'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"prom';
    const halves = await Promise.all(
      [head, head.slice(0, 20), ''].map(async (text) => {
        const socket = connect(Number(port), '127.0.0.1').on('error', () => {});
        await once(socket, 'connect');
        if (text !== '') await new Promise((resolve) => socket.write(text, resolve));
        return socket;
      }),
    );
    // Answered after them, so that they have been read.
    await fetch(`${runtime.url}/healthz`);
    runtime.signal('SIGTERM');
    expect(await ended).toEqual([0, null]);
    for (const socket of halves) socket.destroy();
  });

  it('stops at once on a signal that comes while it loads, with an exit code of its own', async () => {
    const { service, config } = await loadsForever('slow.json');
    const child = spawn(process.execPath, [CLI, 'serve', '--config', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    const ended = once(child, 'close');
    const asked = once(service, 'connection');
    await Promise.race([asked, ended]);
    child.kill('SIGTERM');
    expect(await ended).toEqual([143, null]);
    expect(stderr).toBe('mixgate-runtime: SIGTERM before it served: stopped\n');
    service.close();
  });
});

describe('the engine process', () => {
  it('goes with a server that ends while it loads, whatever it is doing', async () => {
    const server = spawn(process.execPath, [CLI, 'serve', '--config', configuration('engine.json')], { stdio: 'ignore' });
    const ended = once(server, 'close');
    const engines = (): number[] =>
      readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name) && commandLine(name).includes('llama-child'))
        .filter((name) => parentOf(name) === server.pid)
        .map(Number);
    let engine: number | undefined;
    while (engine === undefined) {
      [engine] = engines();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    process.kill(engine, 'SIGSTOP');
    server.kill('SIGTERM');
    expect(await ended).toEqual([143, null]);
    const limit = Date.now() + 10_000;
    while (commandLine(String(engine)) !== '' && Date.now() < limit) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(commandLine(String(engine))).toBe('');
  });
});

describe('the launcher', () => {
  // Started by a Node that is too old it is a process of its own.
  const OLD =
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.0.0' } }); process.execPath = '/an/old/node'";
  const LAUNCHER = fileURLToPath(new URL('../bin/mixgate-runtime.mjs', import.meta.url));

  it('ends by the signal that ended the server', async () => {
    const { service, config } = await loadsForever('launcher.json');
    const launcher = spawn(
      process.execPath,
      ['--import', `data:text/javascript,${encodeURIComponent(OLD)}`, LAUNCHER, 'serve', '--config', config],
      { stdio: 'ignore' },
    );
    const ended = once(launcher, 'close');
    await Promise.race([once(service, 'connection'), ended]);
    // Nothing handles this one before the runtime serves.
    launcher.kill('SIGHUP');
    expect(await ended).toEqual([null, 'SIGHUP']);
    service.close();
  });
});

describe('health', () => {
  it('is 0 for a runtime that is ready, on loopback where it listens on every address', async () => {
    const config = configuration('health.json');
    await using runtime = await startRuntimeProcess(['--config', config]);
    const { port } = new URL(runtime.url);
    expect(await run('health', '--config', config, '--port', port)).toEqual({ code: 0, signal: null, stderr: '' });
    expect(await run('health', '--config', config, '--port', port, '--live')).toEqual({ code: 0, signal: null, stderr: '' });
  });

  it('is 1 with the reason where nothing listens, and 2 without a configuration', async () => {
    const holder = createServer();
    holder.listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as { port: number };
    await new Promise((resolve) => holder.close(resolve));
    const down = await run('health', '--config', configuration('down.json'), '--port', String(port));
    expect(down).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^mixgate-runtime health: \/readyz on port \d+: .*ECONNREFUSED/),
    });
    expect(await run('health')).toMatchObject({ code: 2, stderr: expect.stringContaining('--config is needed') });
  });
});
