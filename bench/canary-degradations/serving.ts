// Baseline and candidate as real processes, each with one ggml thread.
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { devPool, SHIPPED_BUNDLE, SHIPPED_MODEL } from '../../reference-runtime/src/config/dev.ts';
import { must, ROOT } from '../../scripts/demo/shell.ts';
import { type RuntimeProcess, startRuntimeProcess } from '../../scripts/lib/runtime-process.ts';
import type { Case, ServeChange } from './cases.ts';
import { startFaultProxy } from './fault-proxy.ts';

export const MODEL = SHIPPED_MODEL;
const LAUNCHER = join(ROOT, 'reference-runtime/bin/mixgate-runtime.mjs');
/** Both arms get it; it guards nothing here, all of it listens on loopback only. */
export const TOKEN = 'degradations';

export interface Served extends AsyncDisposable {
  readonly url: string;
}

/** Starts a runtime with a configuration of its own. */
export async function startServer(work: string, name: string, model: string, change: ServeChange = {}): Promise<RuntimeProcess> {
  mkdirSync(work, { recursive: true });
  const version = change.version ?? '1.0.0';
  let bundle = SHIPPED_BUNDLE;
  if (change.bundleRevision !== undefined) {
    const copy = join(work, 'bundle');
    cpSync(bundle, copy, { recursive: true });
    const manifest = JSON.parse(readFileSync(join(copy, '.manifest'), 'utf8')) as object;
    writeFileSync(join(copy, '.manifest'), JSON.stringify({ ...manifest, revision: change.bundleRevision }));
    bundle = copy;
  }
  let path = model;
  if (change.fileName !== undefined) {
    path = join(work, change.fileName);
    copyFileSync(model, path);
  }
  const config = join(work, `${name}.yaml`);
  writeFileSync(
    config,
    stringify({
      listen: { host: '127.0.0.1', port: 0 },
      cluster: 'dev',
      model: {
        path,
        id: 'mixtral-micro',
        version,
        context: change.context ?? 512,
        sequences: change.sequences ?? 4,
        batch: change.batch ?? 512,
        threads: 1,
        gpu: false,
      },
      policy: { bundle, entrypoint: 'routing/decision' },
      identity: {
        tokens: [
          {
            sha256: createHash('sha256').update(TOKEN).digest('hex'),
            tenant: 'dev',
            workload: 'spiffe://fleet.example/ns/dev/sa/canary',
          },
        ],
      },
      tenants: { dev: {} },
      pools: [devPool(version)],
      slo: { burn_rate: 0, budget_left: 1 },
      telemetry: {
        ...(change.traces === true ? { traces: { file: join(work, `${name}.traces.ndjson`) } } : {}),
        ...(change.decisionLog === true ? { decisionLog: { file: join(work, `${name}.decisions.ndjson`) } } : {}),
      },
      trace: { mode: 'always' },
    }),
  );
  // A process group of its own: a throttled container stops with all it holds.
  return startRuntimeProcess(['--config', config], { detached: true }, (child) => prefer(child.pid!));
}

/**
 * Asks for priority over neighbours on a shared machine, where the system grants it (Linux, root): paired times are then those of the
 * servers. Both arms get the same. The scheduler weighs sessions first (autogroup), processes inside them after.
 */
export function prefer(pid: number): void {
  try {
    setPriority(pid, -20);
    writeFileSync(`/proc/${pid}/autogroup`, '-20');
  } catch {
    // Not granted: times are noisier, and the judge says so.
  }
}

const THROTTLE_PERIOD_MS = 20;

/** Stops and continues a process group in turn: what a CPU quota does to a container. Returns the way to end it. */
function throttle({ signal }: RuntimeProcess, share: number): () => Promise<void> {
  let on = true;
  const loop = (async () => {
    while (on) {
      signal('SIGSTOP');
      await sleep(share * THROTTLE_PERIOD_MS);
      signal('SIGCONT');
      await sleep((1 - share) * THROTTLE_PERIOD_MS);
    }
  })();
  return async () => {
    on = false;
    await loop;
    signal('SIGCONT');
  };
}

/** What serves now: the shipped model, behind an idle proxy where the candidate has a faulty one, whose own milliseconds are no fault. */
export async function startBaseline(work: string, tried: Case): Promise<Served> {
  const server = await startServer(work, 'baseline', MODEL);
  const proxy =
    tried.fault === undefined ? undefined : await startFaultProxy({ target: server.url, fault: { kind: 'none' }, seed: 0 });
  return {
    url: proxy?.url ?? server.url,
    async [Symbol.asyncDispose]() {
      await proxy?.[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

export interface CandidateOptions {
  readonly work: string;
  readonly seed: number;
  readonly segmentOf: (prompt: string) => string | undefined;
}

/** Everything a case asks for: file, runtime, throttle, proxy. */
export async function startCandidate(tried: Case, { work, seed, segmentOf }: CandidateOptions): Promise<Served> {
  mkdirSync(work, { recursive: true });
  let model = MODEL;
  if (tried.variant !== undefined) {
    model = join(work, 'variant.gguf');
    await must(process.execPath, [LAUNCHER, 'variant', '--model', MODEL, '--out', model, ...tried.variant], { cwd: ROOT });
  }
  if (tried.serve?.restart === true) await (await startServer(work, 'candidate', model))[Symbol.asyncDispose]();
  const server = await startServer(work, 'candidate', model, tried.serve);
  const stop = tried.throttle === undefined ? undefined : throttle(server, tried.throttle);
  const proxy =
    tried.fault === undefined ? undefined : await startFaultProxy({ target: server.url, fault: tried.fault, seed, segmentOf });
  return {
    url: proxy?.url ?? server.url,
    async [Symbol.asyncDispose]() {
      await stop?.();
      await proxy?.[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}
