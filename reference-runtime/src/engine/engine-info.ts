import type { EngineInfo } from './types.ts';

/** What is said of an engine whose model this process does not hold: nothing of its shape is known, and no routing is seen. */
export function shapelessInfo(known: Pick<EngineInfo, 'engine' | 'model'> & Partial<EngineInfo>, reason: string): EngineInfo {
  return {
    context: 0,
    sequences: Number.MAX_SAFE_INTEGER,
    threads: 0,
    gpu: 'unknown',
    loadMs: 0,
    layers: 0,
    experts: 0,
    expertsUsed: 0,
    parameters: 0,
    fileBytes: 0,
    trace: { available: false, reason },
    ...known,
  };
}
