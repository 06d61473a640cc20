// Servers of the runtime's benchmarks: ours by a configuration, llama-server by its path. Both on loopback, as processes of their own.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { get as httpsGet } from 'node:https';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeRandomModel } from '../../../reference-runtime/src/gguf/random-model.ts';
import { freePort } from '../../../scripts/lib/free-port.ts';
import { buildMallocProbe } from './memory-probe.ts';

const here = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

export const MICRO = here('reference-runtime/models/mixtral-micro-q8_0.gguf');
const TOKEN = 'bench';

/** A server under test. */
export interface Peer {
  name: string;
  url: string;
  headers: Record<string, string>;
  pid: number;
  /** Of our server: where its processes write what `probeMemory` asks. */
  probe?: string;
  stop(): void;
}

/** A Mixtral-architecture GGUF of 375 MB with seeded random weights, made once in the user's cache. */
export function largeModel(): string {
  const folder = join(homedir(), '.cache', 'mixgate');
  const path = join(folder, 'bench-mixtral-random-375m-2.gguf');
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  process.stderr.write('writing the random model (about 20 s) ...\n');
  writeRandomModel(`${path}.part`, { layers: 8, width: 768, heads: 12, kvHeads: 4, ffn: 2304, context: 2048, ascii: true });
  renameSync(`${path}.part`, path);
  if (statSync(path).size < 300e6) throw new Error('the model is smaller than the benchmark promises');
  return path;
}

/** Whether a GET is answered with 200; over TLS whatever the certificate. */
function answers(url: string): Promise<boolean> {
  if (url.startsWith('http:'))
    return fetch(url).then(
      async (response) => {
        await response.body?.cancel();
        return response.status === 200;
      },
      () => false,
    );
  return new Promise((resolve) => {
    const call = httpsGet(url, { rejectUnauthorized: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.on('error', () => resolve(false));
  });
}

async function ready(child: ChildProcess, url: string): Promise<void> {
  let tail = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    tail = (tail + text).slice(-2000);
  });
  for (let attempt = 0; attempt < 600; attempt++) {
    if (child.exitCode !== null) throw new Error(`the server ended: ${tail}`);
    if (await answers(url)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no answer from ${url}: ${tail}`);
}

/** Our server. `more` is merged into the configuration file, section by section; `probe` loads the memory probe into its processes, `semiSpace` (MiB, 0: V8's own rule) bounds V8's young generation beside it, `https` is for `listen.tls` in it. */
export async function startOurs(
  model: string,
  options: { sequences: number; context: number },
  more: Record<string, object> = {},
  { probe = false, semiSpace = 0, https = false } = {},
): Promise<Peer> {
  const given = (more['listen'] as { port?: number } | undefined)?.port;
  const port = given ?? (await freePort());
  const url = https ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
  const folder = mkdtempSync(join(tmpdir(), 'mixgate-bench-'));
  const pool = { id: 'local', cluster: 'bench', region: 'local', jurisdiction: 'local', accelerator: 'cpu', engine: 'local' };
  const config = {
    listen: { port },
    model: { path: model, id: 'bench', version: '1.0.0', threads: 1, batch: 512, gpu: false, ...options },
    policy: { bundle: here('reference-runtime/dev-policy/bundle') },
    identity: { tokens: [{ sha256: createHash('sha256').update(TOKEN).digest('hex'), tenant: 'dev' }] },
    tenants: { dev: {} },
    pools: [{ ...pool, model: 'bench', version: '1.0.0' }],
    trace: { mode: 'off' },
    ...more,
  };
  const file = join(folder, 'runtime.yaml');
  writeFileSync(file, JSON.stringify(config));
  const probeFile = join(folder, 'memory.ndjson');
  if (probe) writeFileSync(probeFile, '');
  const child = spawn(process.execPath, [here('reference-runtime/src/cli.ts'), 'serve', '--config', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      ...(probe
        ? {
            NODE_OPTIONS: `${semiSpace > 0 ? `--max-semi-space-size=${semiSpace} ` : ''}--import=${here('bench/runtime/lib/heap-probe.mjs')}`,
            MIXGATE_HEAP_PROBE: probeFile,
            MIXGATE_MALLOC_PROBE: buildMallocProbe(folder),
          }
        : {}),
    },
  });
  await ready(child, `${url}/readyz`);
  return {
    name: 'mixgate-runtime',
    url,
    headers: { authorization: `Bearer ${TOKEN}` },
    pid: child.pid as number,
    ...(probe ? { probe: probeFile } : {}),
    stop: () => child.kill('SIGTERM'),
  };
}

/** llama-server with the same threads, batch and sequences. */
export async function startLlamaServer(
  binary: string,
  model: string,
  options: { sequences: number; context: number },
): Promise<Peer> {
  const port = await freePort();
  const { sequences, context } = options;
  const flags = { '-m': model, '-t': 1, '-tb': 1, '-np': sequences, '-c': sequences * context, '-b': 512, '-ub': 512 };
  const args = Object.entries(flags).flatMap(([name, value]) => [name, String(value)]);
  const child = spawn(binary, [...args, '--host', '127.0.0.1', '--port', String(port)], { stdio: ['ignore', 'ignore', 'pipe'] });
  await ready(child, `http://127.0.0.1:${port}/health`);
  return {
    name: 'llama-server',
    url: `http://127.0.0.1:${port}`,
    headers: {},
    pid: child.pid as number,
    stop: () => child.kill('SIGKILL'),
  };
}

/** Streams one completion to its end; the tokens the server says it made. */
export async function streamOnce(peer: Peer, prompt: string, tokens: number, signal?: AbortSignal): Promise<number> {
  // llama-server by its own endpoint, which does less than its OpenAI one. The same prompt must be evaluated again there, as everywhere else.
  const native = peer.name === 'llama-server';
  const common = { prompt, temperature: 0, stream: true };
  const response = await fetch(`${peer.url}${native ? '/completion' : '/v1/completions'}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...peer.headers },
    body: JSON.stringify(
      native
        ? { ...common, n_predict: tokens, cache_prompt: false }
        : { ...common, max_tokens: tokens, stream_options: { include_usage: true } },
    ),
    ...(signal === undefined ? {} : { signal }),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${peer.name} answered ${response.status}: ${text.slice(0, 300)}`);
  const count = (native ? /"tokens_predicted":\s*(\d+)(?![\s\S]*"tokens_predicted")/ : /"completion_tokens":\s*(\d+)/).exec(
    text,
  )?.[1];
  if (count === undefined) throw new Error(`${peer.name} sent no usage: ${text.slice(-300)}`);
  return Number(count);
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** The engine of a server: its only child process (proc_pid_task_children). */
export function enginePid(peer: Peer): number | undefined {
  const children = readFileSync(`/proc/${peer.pid}/task/${peer.pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return children[0] === undefined ? undefined : Number(children[0]);
}
