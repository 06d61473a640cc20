// Model files of the tests: the shipped one, and random ones made on the spot.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LlamaOptions } from '../../src/engine/protocol.ts';
import { type RandomModelOptions, writeRandomModel } from '../../src/gguf/random-model.ts';

const MICRO = fileURLToPath(new URL('../../models/mixtral-micro-q8_0.gguf', import.meta.url));

/** The shipped model; a missing one is an error of the checkout, not a reason to skip. */
export function microModel(): string {
  if (!existsSync(MICRO)) throw new Error(`${MICRO} is missing: it is part of the repository`);
  return MICRO;
}

/** A temporary directory that removes itself at the end of its scope or by `remove`. */
export function temporary(): { path: string; file: (name: string) => string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'mixgate-runtime-'));
  return { path, file: (name) => join(path, name), remove: () => rmSync(path, { recursive: true, force: true }) };
}

export function randomModel(path: string, options: RandomModelOptions = {}): string {
  writeRandomModel(path, { seed: 3, ...options });
  return path;
}

/** Engine options of the tests: one thread (ggml's threads spin), CPU. */
export function engineOptions(modelPath: string, more: Partial<LlamaOptions> = {}): LlamaOptions {
  return {
    modelPath,
    modelId: 'test',
    context: 256,
    sequences: 4,
    batch: 256,
    threads: 1,
    gpu: false,
    traceRecords: 65_536,
    ...more,
  };
}
