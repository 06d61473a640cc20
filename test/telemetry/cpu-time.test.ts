import { describe, expect, it } from 'vitest';
import { patiently, threadCpuMs } from '../../src/telemetry/events/cpu-time.ts';

describe('what a stopwatch stops', () => {
  /** Runs that are stopped `stops` times, each after `cpu` milliseconds of computing. */
  const stopped = (stops: number, cpu: number): { run: () => string; cpuMs: () => number; runs: () => number } => {
    let [used, runs] = [0, 0];
    return {
      run: () => {
        runs += 1;
        used += cpu;
        if (runs <= stops) throw new Error(`stopped ${runs}`);
        return 'done';
      },
      cpuMs: () => used,
      runs: () => runs,
    };
  };

  it.each([
    ['that stood still is run again', 3, 1, 'done', 4],
    ['that computed for its time is slow', 3, 60, 'stopped 1', 1],
    ['that computes for its time in several runs is slow', 9, 20, 'stopped 3', 3],
    ['that never gets anywhere ends', 99, 0, 'stopped 20', 20],
  ])('%s', (_name, stops, cpu, result, runs) => {
    const of = stopped(stops, cpu);
    const outcome = (): string => {
      try {
        return patiently(of.run, 50, of.cpuMs);
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(outcome()).toBe(result);
    expect(of.runs()).toBe(runs);
  });

  it('counts what this thread computes', () => {
    const before = threadCpuMs();
    let sum = 0;
    while (threadCpuMs() - before < 5) sum += 1;
    expect(sum).toBeGreaterThan(0);
  });
});
