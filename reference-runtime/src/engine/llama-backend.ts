// llama.cpp's binary for the wanted device, and how much memory that device has.
import type { Llama } from 'node-llama-cpp';
import { availableMemory, type Memory } from '../gguf/memory.ts';
import type { LlamaOptions } from './protocol.ts';

const INSTALLABLE: ReadonlySet<unknown> = new Set(['cuda', 'vulkan']);

/** Loads the binary; nothing is compiled or downloaded. @throws Error that says what is missing for the wanted GPU */
export async function backend(options: Pick<LlamaOptions, 'gpu' | 'threads'>): Promise<Llama> {
  const { getLlama, LlamaLogLevel, NoBinaryFoundError } = await import('node-llama-cpp');
  try {
    const llama = await getLlama({
      gpu: options.gpu,
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      logLevel: LlamaLogLevel.error,
      maxThreads: options.threads,
    });
    // A kind that this platform cannot have is passed over without a word: serving on the CPU instead must be asked for.
    if (options.gpu === 'auto' || llama.gpu === options.gpu) return llama;
    await llama.dispose();
    throw new NoBinaryFoundError();
  } catch (error) {
    if (!(error instanceof NoBinaryFoundError)) throw error;
    const install = INSTALLABLE.has(options.gpu)
      ? `install it with \`node reference-runtime/install.mjs --gpu ${options.gpu}\`; if it is there, a driver or a library that it needs is missing`
      : 'this platform has none';
    throw new Error(`no llama.cpp with ${options.gpu === false ? 'CPU' : options.gpu} support works here: ${install}`);
  }
}

/** What this machine has for a model. The share of VRAM that llama.cpp and the driver need beside it is left out. */
export async function memoryOf(llama: Llama): Promise<Memory> {
  const ram = availableMemory();
  if (llama.gpu === false) return { ram };
  const { free, unifiedSize } = await llama.getVramState();
  return { ram, vram: { available: Math.max(0, free - llama.vramPaddingSize), unified: unifiedSize > 0 } };
}
