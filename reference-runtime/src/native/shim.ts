// Loads the tracing addon into the process's global symbol scope. This must happen before node-llama-cpp is imported: its libraries
// bind to the first definition they find (native/moe_trace.c says which).
import { constants } from 'node:os';
import { messageOf } from '../../../src/core/errors.ts';
import { buildShim } from '../../native/build.mjs';

/** Counters of the addon since it was loaded. `recorded`, `dropped`, `unattributed` and `rows` count token-layers. */
export interface ShimStats {
  recorded: number;
  dropped: number;
  unattributed: number;
  decodes: number;
  decodesTraced: number;
  rows: number;
  steps: number;
  pending: number;
  capacity: number;
  /** Of `rows`, how many were computed on which of ggml's backends: `CPU`, `Vulkan0`, `CUDA0`. */
  backends: Record<string, number>;
}

/** The addon's functions; see native/moe_trace.c. */
export interface Shim {
  /** `biased`: the logits after the router's own bias are read. */
  configure(experts: number, layers: number, records: number, biased: boolean): void;
  trace(sequence: number, on: boolean): void;
  drain(): ArrayBuffer;
  stats(): ShimStats;
  /** From the next decode on the experts that llama.cpp itself chose are kept too, `used` a layer; 0 ends it. */
  observeChoices(used: number): void;
  /** What was kept of the last step of one row: 32-bit integers, layer by layer, -1 where there is nothing. */
  choices(): ArrayBuffer;
}

export type ShimLoad = { available: true; shim: Shim } | { available: false; reason: string };

function isShim(value: unknown): value is Shim {
  return (
    typeof value === 'object' &&
    value !== null &&
    'configure' in value &&
    'drain' in value &&
    'trace' in value &&
    'stats' in value &&
    'observeChoices' in value &&
    'choices' in value
  );
}

/** Loads the addon, building it first where it is missing. Never throws: without it the runtime serves untraced. */
export function loadShim(): ShimLoad {
  const built = buildShim();
  if (!built.available) return built;
  try {
    const holder: { exports: unknown } = { exports: {} };
    process.dlopen(holder, built.path, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL);
    if (!isShim(holder.exports)) return { available: false, reason: 'the tracing addon has another interface than expected' };
    return { available: true, shim: holder.exports };
  } catch (error) {
    return {
      available: false,
      reason: `the tracing addon could not be loaded: ${messageOf(error)}`,
    };
  }
}
