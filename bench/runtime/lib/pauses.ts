// Pauses of a process for garbage collection, and its time on the processor; on the machine's monotonic clock, so that processes compare.
import { readFileSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';

/** A pause that began at `at`; milliseconds of the machine's monotonic clock. */
export interface Pause {
  at: number;
  ms: number;
}

/** What a process used between two moments, milliseconds. */
export interface Usage {
  /** All its threads, user and system. */
  cpuMs: number;
  /** How long its main thread was ready and had no core; undefined where the system doesn't say (/proc is Linux'). */
  waitedMs: number | undefined;
  pauses: Pause[];
}

const offset = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds of the machine's monotonic clock: the same in all processes. */
export function machineNow(): number {
  return performance.now() + offset;
}

/** Nanoseconds that the main thread waited for a core, the second number of /proc/PID/schedstat (Linux, Documentation/scheduler/sched-stats). */
function waited(): number | undefined {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return undefined;
  }
}

/** Watches this process from now on; the returned function says what came since. */
export function watchProcess(): () => Usage {
  const pauses: Pause[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) pauses.push({ at: startTime + offset, ms: duration });
  });
  observer.observe({ entryTypes: ['gc'] });
  const cpu = process.cpuUsage();
  const before = waited();
  return () => {
    for (const { startTime, duration } of observer.takeRecords()) pauses.push({ at: startTime + offset, ms: duration });
    observer.disconnect();
    const { user, system } = process.cpuUsage(cpu);
    const after = waited();
    return {
      cpuMs: (user + system) / 1000,
      waitedMs: before === undefined || after === undefined ? undefined : after - before,
      pauses,
    };
  };
}

/** How much of the time from `begin` for `ms` fell into pauses. */
export function paused(pauses: readonly Pause[], begin: number, ms: number): number {
  return pauses.reduce(
    (sum, pause) => sum + Math.max(0, Math.min(begin + ms, pause.at + pause.ms) - Math.max(begin, pause.at)),
    0,
  );
}
