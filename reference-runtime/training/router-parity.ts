/**
 * Compares the router decisions that the tracing addon reads inside llama.cpp with those that PyTorch computed (`reference-router.json`).
 *
 *   node router-parity.ts MODEL.gguf reference-router.json [--json OUT]
 */
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { Token } from 'node-llama-cpp';
import { softmax, topExperts } from '../src/engine/trace-math.ts';
import { loadShim } from '../src/native/shim.ts';

/** `reference-router.json`; arrays are [layer][token][expert]. */
export interface RouterReference {
  readonly sha256: string;
  readonly layers: number;
  readonly experts: number;
  readonly experts_used: number;
  readonly token_layers: number;
  readonly sequences: readonly {
    readonly id: string;
    readonly tokens: readonly number[];
    readonly top2: readonly (readonly (readonly number[])[])[];
    readonly probabilities: readonly (readonly (readonly number[])[])[];
  }[];
}

/** Agreement over all token-layers; probabilities are of the full softmax over experts, 0..1. */
export interface RouterParity {
  readonly token_layers: number;
  /** Token-layers with the same set of chosen experts. */
  readonly equal_choices: number;
  /** Largest distance, in PyTorch's probabilities, between the last chosen and the first unchosen expert where the choices differ. */
  readonly largest_margin_of_a_difference: number;
  /** Quantiles over token-layers of the largest difference of one expert's probability. */
  readonly median_difference: number;
  readonly p99_difference: number;
  readonly largest_difference: number;
}

/** Integers at the start of a record: sequence, position, token, layer; logits follow. */
const HEAD = 4;

/** Decodes every sequence of the reference under tracing. Throws where the addon is not available. */
export async function compareRouter(modelPath: string, reference: RouterReference): Promise<RouterParity> {
  const loaded = loadShim();
  if (!loaded.available) throw new Error(loaded.reason);
  const { shim } = loaded;
  // Imported only now: the addon must be in the process before llama.cpp's libraries are.
  const { getLlama } = await import('node-llama-cpp');
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: 1, progressLogs: false });
  const model = await llama.loadModel({ modelPath });
  const sequence = (await model.createContext({ contextSize: 512, threads: 1 })).getSequence();
  shim.configure(reference.experts, reference.layers, 65_536, false);
  const differences: number[] = [];
  let equal = 0;
  let margin = 0;
  for (const { tokens, top2, probabilities } of reference.sequences) {
    await sequence.clearHistory();
    shim.trace(0, true);
    // Every position asks for a prediction: the last layer computes no other rows.
    await sequence.controlledEvaluate(tokens.map((token) => [token as Token, { generateNext: { token: true } }]));
    shim.trace(0, false);
    const buffer = shim.drain();
    const [ints, floats] = [new Int32Array(buffer), new Float32Array(buffer)];
    const stride = HEAD + reference.experts;
    for (let at = 0; at + stride <= ints.length; at += stride) {
      const [position, layer] = [ints[at + 1] ?? -1, ints[at + 3] ?? -1];
      const expected = probabilities[layer]?.[position];
      const chosen = top2[layer]?.[position];
      if (expected === undefined || chosen === undefined)
        throw new Error(`no reference for layer ${layer}, position ${position}`);
      const logits = floats.subarray(at + HEAD, at + stride);
      const found = [...softmax(logits)];
      differences.push(Math.max(...found.map((value, expert) => Math.abs(value - (expected[expert] ?? 0)))));
      const choice = new Set(topExperts(logits, reference.experts_used));
      if (chosen.every((expert) => choice.has(expert))) equal += 1;
      else {
        const order = expected.toSorted((a, b) => b - a);
        margin = Math.max(margin, (order[reference.experts_used - 1] ?? 0) - (order[reference.experts_used] ?? 0));
      }
    }
  }
  await llama.dispose();
  differences.sort((a, b) => a - b);
  const quantile = (share: number): number => Number((differences[Math.floor(share * (differences.length - 1))] ?? 0).toFixed(5));
  return {
    token_layers: differences.length,
    equal_choices: equal,
    largest_margin_of_a_difference: Number(margin.toFixed(5)),
    median_difference: quantile(0.5),
    p99_difference: quantile(0.99),
    largest_difference: quantile(1),
  };
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { json: { type: 'string' } } });
  const [modelPath, referencePath] = positionals;
  if (modelPath === undefined || referencePath === undefined)
    throw new Error('usage: node router-parity.ts MODEL.gguf REFERENCE.json');
  const reference = JSON.parse(await readFile(referencePath, 'utf8')) as RouterReference;
  const result = `${JSON.stringify(await compareRouter(modelPath, reference), null, 1)}\n`;
  process.stdout.write(result);
  if (values.json !== undefined) await writeFile(values.json, result);
}

if (import.meta.main) await main();
