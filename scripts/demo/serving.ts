import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { resolveTool } from '../../src/tools/resolve.ts';
import type { RuntimeProcess } from '../lib/runtime-process.ts';
import type { FleetRepo } from './fleet.ts';
import { must, ROOT, startRuntime } from './shell.ts';

export const BASELINE_MODEL = join(ROOT, 'reference-runtime/models/mixtral-micro-q8_0.gguf');

/** Makes a changed copy of the shipped model with the runtime's own tool. */
export async function modelVariant(out: string, ...flags: string[]): Promise<void> {
  await must(
    process.execPath,
    [join(ROOT, 'reference-runtime/bin/mixgate-runtime.mjs'), 'variant', '--model', BASELINE_MODEL, '--out', out, ...flags],
    { cwd: ROOT },
  );
}

/** Compiles the fleet's routing policy into the bundle that CI, canary and runtime share. */
export async function buildBundle(repo: FleetRepo, out: string): Promise<void> {
  const opa = await resolveTool('opa');
  await must(
    opa.path,
    [
      'build',
      '-t',
      'wasm',
      '-e',
      'routing/decision',
      '--ignore',
      '*_test.rego',
      '--revision',
      await repo.git('rev-parse', 'HEAD'),
      '-o',
      out,
      'policies/routing',
    ],
    { cwd: repo.dir },
  );
}

export interface ServingOptions {
  readonly work: string;
  readonly name: string;
  readonly model: string;
  readonly version: string;
  readonly pool: string;
  readonly bundle: string;
  readonly token: string;
}

/** A runtime of the us-east cluster that serves one pool, governed by the fleet's policy. */
export async function serve(options: ServingOptions): Promise<RuntimeProcess> {
  const dir = join(options.work, 'serving');
  await mkdir(dir, { recursive: true });
  const config = join(dir, `${options.name}.yaml`);
  await writeFile(
    config,
    stringify({
      listen: { host: '127.0.0.1', port: 0 },
      cluster: 'us-east',
      model: {
        path: options.model,
        id: 'mixtral-micro',
        version: options.version,
        context: 512,
        sequences: 2,
        threads: 1,
        gpu: false,
      },
      policy: { bundle: options.bundle, entrypoint: 'routing/decision' },
      identity: {
        tokens: [
          {
            sha256: createHash('sha256').update(options.token).digest('hex'),
            tenant: 'globex',
            workload: 'spiffe://fleet.example/ns/globex/sa/web',
          },
        ],
      },
      tenants: { globex: {} },
      pools: [
        {
          id: options.pool,
          cluster: 'us-east',
          region: 'us-east-1',
          jurisdiction: 'US',
          trust_zone: 'us',
          accelerator: 'cpu',
          model: 'mixtral-micro',
          version: options.version,
          saturation: 0.1,
          queue: 0,
          p95_ms: 50,
          cost_per_mtok: 0.08,
          warm: true,
          engine: 'local',
        },
      ],
      slo: { burn_rate: 0, budget_left: 1 },
      telemetry: {
        traces: { file: join(dir, `${options.name}.traces.ndjson`) },
        decisionLog: { file: join(dir, `${options.name}.decisions.ndjson`) },
      },
      trace: { mode: 'opt-in' },
    }),
  );
  return startRuntime(config, { cwd: options.work });
}

export function newToken(): string {
  return randomBytes(24).toString('hex');
}
