// The experts that llama.cpp itself chose, beside the logits that it chose them by: read out of its graph, one token a step.
import type { Token } from 'node-llama-cpp';
import { routerRecords } from '../../src/engine/trace-collector.ts';
import type { ModelShape } from '../../src/gguf/model-shape.ts';
import { loadShim } from '../../src/native/shim.ts';

export interface OwnChoice {
  step: number;
  layer: number;
  logits: Float32Array;
  chosen: number[];
}

/** One row for each token and routed layer. In this process: llama.cpp must not have been loaded before the addon. */
export async function ownChoices(modelPath: string, shape: ModelShape, tokens: readonly number[]): Promise<OwnChoice[]> {
  const loaded = loadShim();
  if (!loaded.available) throw new Error(loaded.reason);
  if (!shape.gating.known) throw new Error(shape.gating.reason);
  const { shim } = loaded;
  const { getLlama, LlamaLogLevel } = await import('node-llama-cpp');
  await using llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    maxThreads: 1,
    progressLogs: false,
    logLevel: LlamaLogLevel.error,
  });
  await using model = await llama.loadModel({ modelPath });
  await using context = await model.createContext({ contextSize: tokens.length + 8, threads: 1 });
  const sequence = context.getSequence();
  shim.configure(shape.experts, shape.layers, 4096, shape.gating.gating.biasedLogits);
  shim.observeChoices(shape.expertsUsed);
  shim.trace(0, true);
  const out: OwnChoice[] = [];
  try {
    for (const [step, token] of tokens.entries()) {
      // Every position asks for a prediction: the last layer computes no other rows.
      await sequence.controlledEvaluate([[token as Token, { generateNext: { token: true } }]]);
      const chosen = new Int32Array(shim.choices());
      for (const { layer, logits } of routerRecords(shim.drain(), shape.experts))
        out.push({
          step,
          layer,
          logits,
          chosen: [...chosen.subarray(layer * shape.expertsUsed, (layer + 1) * shape.expertsUsed)],
        });
    }
  } finally {
    shim.trace(0, false);
    shim.observeChoices(0);
  }
  return out;
}
