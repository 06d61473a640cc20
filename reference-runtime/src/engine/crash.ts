// An engine process that crashed by itself: what is said about it, and when it is not started once more.
import { readFileSync } from 'node:fs';

/** Signals of a process's own fault; whoever kills an engine from outside (SIGKILL, an operator, a lack of memory) uses none of them. */
const FAULTS: ReadonlySet<string> = new Set(['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGABRT', 'SIGFPE']);
/** Crashes in a row, without one request served to its end between them, after which another start would only crash again. */
export const CRASHES_IN_A_ROW = 3;

/** What an engine process was told to compute on; said before it loads, so that it is known of one that never came to serve. */
export interface Device {
  gpu: string;
  names: string[];
  /** On the GPU, the output counted as one. */
  gpuLayers: number;
  layers: number;
  /** The NVIDIA driver's own word for its version. */
  driver?: string;
}

/** True when a process ended by its own fault rather than by someone's will. */
export function crashed(signal: string | null): boolean {
  return signal !== null && FAULTS.has(signal);
}

/** The version of NVIDIA's kernel driver; undefined where there is none. */
export function nvidiaDriver(file = '/proc/driver/nvidia/version'): string | undefined {
  try {
    return /Kernel Module\s+(?:for \S+\s+)?(?<version>\d+(?:\.\d+)+)/.exec(readFileSync(file, 'utf8'))?.groups?.['version'];
  } catch {
    return undefined;
  }
}

/** One sentence: what crashed on which device with how many layers there, and what to try. */
export function crashReport(signal: string, device: Device | undefined, batch: number): string {
  if (device === undefined || device.gpu === 'false')
    return `llama.cpp crashed (${signal}) on the CPU; try another model file, or a smaller model.batch than ${batch}`;
  const driver = device.driver === undefined ? '' : `, driver ${device.driver}`;
  const where = `${device.gpu} (${device.names.join(', ') || 'no name'}${driver}), ${device.gpuLayers} of ${device.layers} layers on the GPU`;
  return (
    `llama.cpp or the GPU's driver crashed (${signal}) on ${where}; try a newer driver, a smaller model.batch than ${batch}, ` +
    `${device.gpuLayers < device.layers ? 'all layers or fewer' : 'fewer'} in model.gpuLayers, or model.gpu: false`
  );
}
