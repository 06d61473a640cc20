import { relative, resolve } from 'node:path';
import { CONFIG_FILE, loadConfig } from '../config/load.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { GateContext, Tool } from '../core/gate-context.ts';
import { buildReport, type Report } from '../core/report.ts';
import { packageVersion } from '../tools/package-root.ts';
import { resolveTool } from '../tools/resolve.ts';
import { folderTree } from '../workspace/tree.ts';
import type { CommandSpec, Invocation } from './framework.ts';

const check: CommandSpec = {
  name: 'check',
  summary: 'check model metadata: complete, true to the files, and fitting where it is deployed',
  positionals: 'DIR',
  minPositionals: 1,
  maxPositionals: 1,
  details: `DIR is a GitOps repository with a mixgate.yaml (its catalogue and the deployments of its clusters are judged), or a folder of
model metadata files, with a pools.yaml if there is one. Nothing is compared with an earlier state; \`mixgate check\` does that.`,
  examples: [
    { command: 'mixgate catalog check .', does: 'the catalogue and every deployment of this repository' },
    { command: 'mixgate catalog check catalog/', does: 'only the metadata files' },
  ],
  run: async (invocation) => ({ report: await runCatalogCheck(invocation) }),
};

const fit: CommandSpec = {
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

export const command: CommandSpec = {
  name: 'catalog',
  summary: 'the model catalogue: metadata, digests, and whether models fit their pools',
  subcommands: [check, fit],
};

async function runCatalogCheck(invocation: Invocation): Promise<Report> {
  const [dir] = invocation.positionals as [string];
  const tree = folderTree(resolve(invocation.dir, dir), dir);
  if ((await tree.list()).length === 0)
    throw new ConfigurationError({
      message: `${dir} is not a folder with files.`,
      expected: 'a GitOps repository, or a folder of model metadata',
    });
  const tools = new Map<string, string>();
  const context: GateContext = {
    now: invocation.now,
    progress: invocation.progress,
    signal: invocation.signal,
    seed: invocation.options.number('seed') ?? 1,
    base: undefined,
    head: tree,
    changed: undefined,
    tool: async (name): Promise<Tool> => {
      const tool = await resolveTool(name, { progress: invocation.progress, signal: invocation.signal });
      tools.set(name, tool.version);
      return tool;
    },
  };
  const { runCatalogGate, catalogSectionOf } = await import('../catalog/gate.ts');
  const configured = (await tree.read(CONFIG_FILE)) === undefined ? undefined : (await loadConfig(tree)).config;
  if (configured !== undefined && configured.catalog === undefined)
    throw new ConfigurationError({
      message: 'mixgate.yaml has no `catalog` section.',
      location: { file: CONFIG_FILE },
      fix: 'add one that names the model files, or point at the folder of model files itself.',
    });
  const result = await runCatalogGate(
    context,
    configured?.catalog ?? (await catalogSectionOf(tree)),
    configured ?? { version: 1 },
  );
  return report(invocation, [result], tools);
}

async function runFit(invocation: Invocation): Promise<Report> {
  const { options } = invocation;
  const [file] = invocation.positionals as [string];
  const { readModelFile } = await import('../catalog/gguf.ts');
  const { evaluateFit } = await import('../catalog/fit-file.ts');
  const { parseBytes } = await import('../catalog/bytes.ts');
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
  return report(invocation, [result], new Map());
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

function report(invocation: Invocation, results: Parameters<typeof buildReport>[0], tools: ReadonlyMap<string, string>): Report {
  return buildReport(results, {
    tool: { name: 'mixgate', version: packageVersion() },
    command: invocation.command,
    seed: invocation.options.number('seed') ?? 1,
    tools: Object.fromEntries([...tools].sort(([a], [b]) => (a < b ? -1 : 1))),
  });
}
