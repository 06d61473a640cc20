// llama.cpp's binary for the wanted device, and how much memory that device has.
import { existsSync } from 'node:fs';
import type { Llama } from 'node-llama-cpp';
import { availableMemory, type Memory } from '../gguf/memory.ts';
import type { LlamaOptions } from './protocol.ts';

const INSTALLABLE: ReadonlySet<unknown> = new Set(['cuda', 'vulkan']);
/** What NVIDIA's driver shows every process that may use a GPU, in a container as on the host. */
const NVIDIA_DEVICE = '/dev/nvidiactl';

/** Why llama.cpp's binary for a kind of GPU does not work, and what to do. */
function remedy(gpu: LlamaOptions['gpu']): string {
  if (!INSTALLABLE.has(gpu)) return 'this platform has none';
  const packed = new URL(`../../node_modules/@node-llama-cpp/${process.platform}-${process.arch}-${gpu}`, import.meta.url);
  if (!existsSync(packed)) return `install it with \`node reference-runtime/install.mjs --gpu ${gpu}\``;
  if (gpu === 'cuda' && !existsSync(NVIDIA_DEVICE))
    return `it is installed, and this process sees no NVIDIA GPU (there is no ${NVIDIA_DEVICE}): give the container one (\`docker run --gpus all\`, \`nvidia.com/gpu\` in Kubernetes), or install the driver`;
  return 'it is installed: a driver or a library that it needs is missing or too old';
}

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
    throw new Error(
      `no llama.cpp with ${options.gpu === false ? 'CPU' : options.gpu} support works here: ${remedy(options.gpu)}`,
    );
  }
}

/** What this machine has for a model. The share of VRAM that llama.cpp and the driver need beside it is left out. */
export async function memoryOf(llama: Llama): Promise<Memory> {
  const ram = availableMemory();
  if (llama.gpu === false) return { ram };
  const { free, unifiedSize } = await llama.getVramState();
  return { ram, vram: { available: Math.max(0, free - llama.vramPaddingSize), unified: unifiedSize > 0 } };
}
