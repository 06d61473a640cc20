import { relative, resolve } from 'node:path';
import { ConfigurationError } from '../../core/errors.ts';
import { buildReport, type Report } from '../../core/report.ts';
import type { CommandSpec, Invocation } from '../framework.ts';
import { provenanceOf } from '../provenance.ts';

export const fitCommand: CommandSpec = {
  name: 'fit',
  summary: 'does a model file fit a memory? from its header, all experts counted',
  positionals: 'MODEL.gguf',
  minPositionals: 1,
  maxPositionals: 1,
  details: `Reads only the header of the file. Memory = weights of all experts + KV cache (2 x layers x KV heads x head dim x bytes x context x
sequences) + activations of one step (an estimate) + overhead.`,
  options: {
    memory: { type: 'string', value: 'SIZE', required: true, description: 'memory of one accelerator, e.g. 80GiB' },
    context: { type: 'integer', value: 'TOKENS', description: "tokens per sequence (default: the model's own)" },
    sequences: { type: 'integer', value: 'N', description: 'sequences at the same time (default 1)' },
    accelerators: { type: 'integer', value: 'N', description: 'accelerators one replica spans (default 1)' },
    overhead: { type: 'string', value: 'SIZE', description: 'memory per accelerator for driver and libraries (default 1GiB)' },
    batch: { type: 'integer', value: 'TOKENS', description: 'tokens in one step (default 512)' },
    'kv-cache': {
      type: 'string',
      value: 'TYPE',
      choices: ['f32', 'f16', 'bf16', 'fp8', 'q8_0', 'q4_0'],
      description: 'type of the KV cache (default f16)',
    },
    utilisation: { type: 'number', value: 'SHARE', description: 'share of the memory that may be used, 0 to 1 (default 1)' },
  },
  examples: [
    {
      command: 'mixgate catalog fit model.gguf --memory 80GiB --context 8192 --sequences 8',
      does: 'one accelerator, eight sequences',
    },
    { command: 'mixgate catalog fit model.gguf --memory 24GiB --accelerators 2 --kv-cache q8_0', does: 'two small ones' },
  ],
  run: async (invocation) => ({ report: await runFit(invocation) }),
};

async function runFit(invocation: Invocation): Promise<Report> {
  const { options } = invocation;
  const [file] = invocation.positionals as [string];
  const { readModelFile } = await import('../../catalog/gguf.ts');
  const { evaluateFit } = await import('../../catalog/fit-file.ts');
  const { parseBytes } = await import('../../catalog/bytes.ts');
  const amount = (flag: string, fallback?: string): number => {
    const text = options.string(flag) ?? fallback!;
    const bytes = parseBytes(text);
    if (bytes === undefined || (flag === 'memory' && bytes === 0))
      throw new ConfigurationError({
        message: `--${flag} is ${JSON.stringify(text)}.`,
        expected: 'an amount of memory like 80GiB or 24GB',
      });
    return bytes;
  };
  const count = (flag: string, fallback: number): number => {
    const value = options.number(flag) ?? fallback;
    if (value < 1 || value > 1e9)
      throw new ConfigurationError({ message: `--${flag} is ${value}.`, expected: 'a whole number from 1' });
    return value;
  };
  const utilisation = options.number('utilisation') ?? 1;
  if (utilisation <= 0 || utilisation > 1)
    throw new ConfigurationError({ message: `--utilisation is ${utilisation}.`, expected: 'more than 0 and at most 1' });
  const capacity = {
    memoryBytes: amount('memory'),
    accelerators: count('accelerators', 1),
    overheadBytes: amount('overhead', '1GiB'),
    utilisation,
  };
  const path = resolve(invocation.dir, file);
  const model = await readModelFile(path).catch((error: unknown) => {
    throw error instanceof ConfigurationError ? renamed(error, path, file) : error;
  });
  const result = evaluateFit({
    file: relative(invocation.dir, path).startsWith('..') ? file : relative(invocation.dir, path),
    model,
    context: count('context', Math.max(1, model.architecture.contextLength)),
    sequences: count('sequences', 1),
    batchTokens: count('batch', 512),
    kvCacheType: options.string('kv-cache') ?? 'f16',
    capacity,
  });
  return buildReport([result], provenanceOf(invocation));
}

/** The path as the user wrote it. */
function renamed(error: ConfigurationError, path: string, shown: string): ConfigurationError {
  return new ConfigurationError(
    error.problems.map((problem) =>
      problem.location?.file === path ? { ...problem, location: { ...problem.location, file: shown } } : problem,
    ),
    { cause: error },
  );
}
