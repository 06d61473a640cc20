import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { resolveTool } from '../../src/tools/resolve.ts';
import { ROOT } from './cli.ts';

/** The configuration that the documentation shows. */
const COLLECTOR_CONFIG = join(ROOT, 'reference-runtime/deploy/otel/collector.yaml');

export interface RunningCollector extends AsyncDisposable {
  readonly url: string;
  /** The OTLP/JSON requests that its file exporter wrote. */
  read(): readonly unknown[];
  /** SIGTERM writes what is held, SIGKILL does not; resolves when the process is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts a real OpenTelemetry Collector on a loopback port; `file` is what its file exporter writes. Throws when it does not start. */
export async function startCollector(port: number, file: string): Promise<RunningCollector> {
  const { path } = await resolveTool('otelcol');
  const child = spawn(path, ['--config', COLLECTOR_CONFIG], {
    env: { ...process.env, OTLP_LISTEN: `127.0.0.1:${port}`, OTLP_FILE: file },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    log += chunk;
  });
  let gone = false;
  const ended = new Promise<void>((resolve) =>
    child.on('close', () => {
      gone = true;
      resolve();
    }),
  );
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (!gone) child.kill(signal);
    await ended;
  };
  const url = `http://127.0.0.1:${port}`;
  for (let attempt = 0; attempt < 300 && !gone; attempt += 1) {
    if (log.includes('Everything is ready'))
      return { url, read: () => readLines(file), stop, [Symbol.asyncDispose]: () => stop('SIGKILL') };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await stop('SIGKILL');
  throw new Error(`the OpenTelemetry Collector did not start:\n${log}`);
}

/** The requests of a file of OTLP/JSON lines; none when there is no file yet. A line that is still being written is left out. */
export function readLines(file: string): readonly unknown[] {
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
}
