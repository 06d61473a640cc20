/**
 * Peak resident memory of `mixgate policy prove` on a domain of ten million points, the whole process tree (opa too)
 * sampled from /proc every 50 ms. `node bench/policy/memory.ts`; Linux only. Ends with 1 above the bar of 1 GiB, or
 * where the domain has become smaller.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const FLEET = join(ROOT, 'examples/fleet/policies');
const BAR_MIB = 1024;
const dir = mkdtempSync(join(tmpdir(), 'mixgate-memory-'));
try {
  // The fleet's domain times 36 latencies of one pool: 11,059,200 points.
  const domain = readFileSync(join(FLEET, 'domain.yaml'), 'utf8');
  const loads = [950, ...Array.from({ length: 35 }, (_, i) => 100 * (i + 1) + 1)];
  writeFileSync(join(dir, 'domain.yaml'), `${domain}  fleet.pools[2].p95_ms: ${JSON.stringify(loads)}\n`);
  const started = performance.now();
  const child = spawn(
    process.execPath,
    [
      join(ROOT, 'src/cli.ts'),
      ...['policy', 'prove', join(FLEET, 'routing'), '--entrypoint', 'routing/decision', '--domain', join(dir, 'domain.yaml')],
      ...['--invariants', join(FLEET, 'invariants'), '--format', 'json', '--quiet'],
    ],
    { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const out: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, treeMemory(child.pid!));
  }, 50);
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearInterval(timer);
  const report = JSON.parse(Buffer.concat(out).toString('utf8')) as { gates: { reason: string }[] };
  const { reason } = report.gates[0]!;
  const points = Number(/ of (?<points>\d+)/.exec(reason)?.groups?.['points'] ?? 0);
  console.log(reason);
  console.log(
    `peak ${Math.round(peak)} MiB of ${BAR_MIB} MiB, ${((performance.now() - started) / 1000).toFixed(1)} s, exit ${code}`,
  );
  if (peak > BAR_MIB || code !== 0 || points < 10_000_000) process.exitCode = 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}

/** MiB resident in a process and all that it started; a shared page counts once a process, so the sum errs upwards. */
function treeMemory(root: number): number {
  const parents = new Map<number, number>();
  const resident = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const status = readFileSync(`/proc/${name}/status`, 'utf8');
      parents.set(Number(name), Number(/^PPid:\s+(\d+)/m.exec(status)?.[1] ?? 0));
      resident.set(Number(name), Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      // It ended meanwhile.
    }
  }
  const below = (pid: number): boolean => {
    for (let p: number | undefined = pid; p !== undefined && p > 1; p = parents.get(p)) if (p === root) return true;
    return false;
  };
  return [...resident].reduce((sum, [pid, mib]) => sum + (below(pid) ? mib : 0), 0);
}
