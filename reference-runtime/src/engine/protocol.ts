// Messages between the server process and the engine's child process.
import type { GpuLayers } from '../gguf/preflight.ts';
import type { Device } from './crash.ts';
import type { DeviceMemory, EngineErrorCode, EngineEvent, EngineInfo, GenerateRequest, TraceCounters } from './types.ts';

/** What to load and how. `traceRecords` is the ring's size in token-layers; 0 leaves the tracing addon unloaded. */
export interface LlamaOptions {
  modelPath: string;
  modelId: string;
  context: number;
  sequences: number;
  batch: number;
  threads: number;
  gpu: 'auto' | 'cuda' | 'vulkan' | 'metal' | false;
  /** Layers on the GPU, the output counted as one; `auto` (the default) takes as many as fit. */
  gpuLayers?: GpuLayers;
  traceRecords: number;
}

export type ToChild =
  | { type: 'load'; options: LlamaOptions }
  | { type: 'generate'; request: GenerateRequest }
  | { type: 'cancel'; id: string }
  | { type: 'pause'; id: string; paused: boolean }
  | { type: 'ping' }
  | { type: 'dispose' };

export interface EngineEventItem {
  id: string;
  event: EngineEvent | { type: 'error'; code: EngineErrorCode; message: string } | { type: 'cancelled' };
}

/** Counters the child reports beside events, at most a few times a second. */
export interface ChildStats {
  rssBytes: number;
  vram?: DeviceMemory;
  trace?: TraceCounters;
}

export type FromChild =
  | { type: 'device'; device: Device }
  | { type: 'ready'; info: EngineInfo; stats: ChildStats }
  | { type: 'failed'; message: string }
  | { type: 'pong'; stats: ChildStats }
  | { type: 'events'; items: EngineEventItem[]; stats?: ChildStats };
