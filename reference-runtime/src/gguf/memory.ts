// Memory that serving a model takes, on the host and on the GPU, from total parameters (the whole file), never from active ones.
import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { cgroupUsage } from './cgroup.ts';
import type { ModelShape } from './model-shape.ts';

/** What is planned in one memory, in bytes. `compute` is an upper estimate of llama.cpp's scratch buffers at the given batch. */
export interface MemoryPart {
  weights: number;
  kvCache: number;
  compute: number;
  total: number;
  available: number;
}

/** Bytes that serving takes. `gpuLayers` counts the output as a layer, as llama.cpp does; without a GPU it is 0 and `vram` absent. */
export interface MemoryPlan {
  gpuLayers: number;
  ram: MemoryPart;
  vram?: MemoryPart;
}

/** What there is, in bytes. `unified`: the GPU's memory is the host's (Metal, integrated and software devices). */
export interface Memory {
  ram: number;
  vram?: { available: number; unified: boolean };
}

export interface MemoryOptions {
  context: number;
  sequences: number;
  batch: number;
}

/** KV cache in bytes: 2 x layers x KV heads x head size x 2 (f16) a token (131072 a token for Mixtral 8x7B). */
function kvBytes(shape: ModelShape, context: number, sequences: number): number {
  return 2 * shape.layers * shape.kvHeads * shape.headSize * 2 * context * sequences;
}

function part(weights: number, kvCache: number, compute: number, available: number): MemoryPart {
  return { weights, kvCache, compute, total: weights + kvCache + compute, available };
}

/**
 * The plan with `gpuLayers` on the GPU: the output first, then layers from the last one down (llama.cpp, llama_model::load_tensors); the
 * token embedding always stays on the host, and a tied one is there twice.
 */
export function planMemory(shape: ModelShape, options: MemoryOptions, memory: Memory, gpuLayers = 0): MemoryPlan {
  const kv = kvBytes(shape, options.context, options.sequences);
  // Logits of a whole batch, and activations of the widest step; f32.
  const logits = options.batch * shape.vocabulary * 4;
  const compute = logits + options.batch * 8 * shape.width * 4;
  if (memory.vram === undefined || gpuLayers === 0) return { gpuLayers: 0, ram: part(shape.fileBytes, kv, compute, memory.ram) };
  const offloaded = Math.min(shape.layers, gpuLayers - 1);
  const moved = shape.layerBytes.slice(shape.layers - offloaded).reduce((sum, bytes) => sum + bytes, 0);
  const kept = shape.fileBytes - moved - (shape.tiedOutput ? 0 : shape.outputBytes);
  const onGpu = (kv * offloaded) / shape.layers;
  const all = offloaded === shape.layers;
  return {
    gpuLayers,
    ram: part(kept, kv - onGpu, all ? logits : compute, memory.ram),
    vram: part(moved + shape.outputBytes, onGpu, compute, memory.vram.available),
  };
}

/** The most layers whose plan fits the GPU: 0 to layers + 1. */
export function gpuLayersThatFit(shape: ModelShape, options: MemoryOptions, memory: Memory): number {
  for (let layers = shape.layers + 1; layers > 0; layers--) {
    const { vram } = planMemory(shape, options, memory, layers);
    if (vram !== undefined && vram.total <= vram.available) return layers;
  }
  return 0;
}

/** Memory this process may still use, in bytes: what the system has free for use, and no more than the cgroup has left. */
export function availableMemory(): number {
  let available = freemem();
  try {
    const line = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'));
    if (line?.[1] !== undefined) available = Number(line[1]) * 1024;
  } catch {
    // Not Linux: what the system reports as free is the best there is.
  }
  const limit = memoryLimit();
  return limit < totalmem() ? Math.min(available, Math.max(0, limit - cgroupUsage())) : available;
}

/** All memory there is for this process, in bytes: the machine's, or the cgroup's where that is less. */
export function memoryLimit(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 && constrained < totalmem() ? constrained : totalmem();
}

/** One mebibyte-precise figure for messages. */
function formatBytes(bytes: number): string {
  return bytes >= 1024 ** 3 ? `${(bytes / 1024 ** 3).toFixed(2)} GiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

function sum({ weights, kvCache, compute, total }: MemoryPart, { context, sequences }: MemoryOptions): string {
  return (
    `weights ${formatBytes(weights)} + KV cache ${formatBytes(kvCache)} (${sequences} x ${context} tokens) + compute ${formatBytes(compute)} ` +
    `= ${formatBytes(total)}`
  );
}

/** Why the plan can't be carried out, with the numbers; undefined when it can. */
export function refusal(plan: MemoryPlan, options: MemoryOptions, memory: Memory): string | undefined {
  const { ram, vram, gpuLayers } = plan;
  const advice = 'use fewer sequences, a shorter context or a smaller quantisation';
  if (vram !== undefined && vram.total > vram.available)
    return `${gpuLayers} layers do not fit the GPU: ${sum(vram, options)}, and ${formatBytes(vram.available)} of VRAM is available; ${advice}, or fewer gpuLayers`;
  const unified = vram !== undefined && memory.vram?.unified === true;
  const needed = ram.total + (unified ? vram.total : 0);
  if (needed <= ram.available) return undefined;
  const shared = unified ? ` on the host and ${formatBytes(vram.total)} for the GPU in the same memory` : '';
  return `does not fit: ${sum(ram, options)}${shared}, and ${formatBytes(ram.available)} is available; ${advice}`;
}
