/** How often a run may be stopped by the wall's clock before it counts as slow, whatever it used. */
const MAX_STOPS = 20;

/** Milliseconds of CPU time of this thread; of the process where Node does not tell threads apart (before 23.9). */
export function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage?.() ?? process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Runs what a stopwatch of real time may stop, again when it was stopped without having computed for `limitMs`: on a busy machine a process
 * may stand still for longer than its stopwatch runs, and that is no fault of what it was doing.
 * @param run throws when it is stopped @param cpuMs CPU time so far @throws what `run` threw last
 */
export function patiently<T>(run: () => T, limitMs: number, cpuMs: () => number = threadCpuMs): T {
  const start = cpuMs();
  for (let stops = 1; ; stops++) {
    try {
      return run();
    } catch (error) {
      if (cpuMs() - start >= limitMs || stops >= MAX_STOPS) throw error;
    }
  }
}
