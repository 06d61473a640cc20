import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePort } from '../../scripts/lib/free-port.ts';
import { cacheRoot } from '../../src/tools/cache.ts';
import { debianPackages } from './debian.ts';

/**
 * The real prometheus and promtool: from PATH, else from the tool cache, else Debian's package unpacked into the cache (no root
 * needed). Throws when none of these works: a test never skips for want of it.
 */
export function prometheusTools(): { readonly prometheus: string; readonly promtool: string } {
  const found = (name: string): string | undefined =>
    (process.env['PATH'] ?? '')
      .split(delimiter)
      .map((dir) => join(dir, name))
      .find(existsSync);
  const [prometheus, promtool] = [found('prometheus'), found('promtool')];
  if (prometheus !== undefined && promtool !== undefined) return { prometheus, promtool };
  const home = join(cacheRoot(), 'prometheus-debian');
  const bin = join(home, 'usr/bin');
  try {
    debianPackages({ home, packages: ['prometheus'], present: 'usr/bin/promtool' });
  } catch (cause) {
    throw new Error(
      'These tests need a real Prometheus: put prometheus and promtool into PATH, or run where `apt-get download prometheus` works (Debian, Ubuntu; `apt-get update` first).',
      { cause },
    );
  }
  return { prometheus: join(bin, 'prometheus'), promtool: join(bin, 'promtool') };
}

/** For set-up: has them ready before any test starts. */
export async function ensurePrometheus(): Promise<void> {
  prometheusTools();
}

export interface RunningPrometheus extends AsyncDisposable {
  readonly url: string;
}

export interface PrometheusSetup {
  /** OpenMetrics text to load as history (`promtool tsdb create-blocks-from openmetrics`). */
  readonly history?: string;
  /** `host:port` of targets to scrape every second, with labels. */
  readonly targets?: readonly { readonly address: string; readonly labels?: Readonly<Record<string, string>> }[];
}

/** Starts a Prometheus on loopback with a data folder of its own. */
export async function startPrometheus(setup: PrometheusSetup): Promise<RunningPrometheus> {
  const { prometheus, promtool } = prometheusTools();
  const dir = mkdtempSync(join(tmpdir(), 'mixgate-prometheus-'));
  if (setup.history !== undefined) {
    writeFileSync(join(dir, 'history.om'), setup.history);
    execFileSync(
      promtool,
      ['tsdb', 'create-blocks-from', 'openmetrics', '--max-block-duration=24h', join(dir, 'history.om'), join(dir, 'data')],
      { stdio: 'pipe', timeout: 120_000 },
    );
  }
  const jobs = (setup.targets ?? []).map(({ address, labels }, index) => ({
    job_name: `target-${index + 1}`,
    scrape_interval: '1s',
    scrape_timeout: '1s',
    static_configs: [{ targets: [address], labels: labels ?? {} }],
  }));
  // JSON is YAML.
  writeFileSync(join(dir, 'prometheus.yml'), JSON.stringify({ global: { scrape_interval: '1s' }, scrape_configs: jobs }));
  const port = await freePort();
  const child = spawn(
    prometheus,
    [
      `--config.file=${join(dir, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      '--storage.tsdb.retention.time=10y',
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=error',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    log += chunk;
  });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    rmSync(dir, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (child.exitCode !== null) break;
    const ready = await fetch(`${url}/-/ready`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return { url, [Symbol.asyncDispose]: stop };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stop();
  throw new Error(`Prometheus did not start:\n${log}`);
}
