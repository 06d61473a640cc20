// Whether tracing works with this model, on this build of llama.cpp, on this device: a few tokens go through the model one at a time, every
// router must be seen once for each, and the experts that are computed from its logits must be those that llama.cpp itself chose.
import type { Shim } from '../native/shim.ts';
import { chooseExperts } from './gate.ts';
import { type RoutedShape, routerRecords } from './trace-collector.ts';

/** Scores of experts that are as good as tied: llama.cpp computes them in 32 bits. */
const TIE = 1e-6;

export interface SelfTestOptions {
  shape: RoutedShape & { routedLayers: readonly number[] };
  tokens: readonly number[];
  sequence: number;
  /** One token through the model as a step of its own. */
  decode: (token: number) => Promise<void>;
}

/** Undefined when tracing is right, else why it must stay off. */
export async function traceSelfTest(
  shim: Shim,
  { shape, tokens, sequence, decode }: SelfTestOptions,
): Promise<string | undefined> {
  const { routedLayers, experts, expertsUsed } = shape;
  shim.drain();
  const before = shim.stats();
  shim.observeChoices(expertsUsed);
  shim.trace(sequence, true);
  try {
    for (const token of tokens) {
      await decode(token);
      const records = [...routerRecords(shim.drain(), experts)];
      const seen = records.map(({ layer }) => layer).sort((a, b) => a - b);
      if (seen.join() !== routedLayers.join())
        return `self-test: expected one router row in each of the layers ${routedLayers.join(' ')}, saw ${seen.join(' ') || 'none'}`;
      const theirs = new Int32Array(shim.choices());
      for (const { layer, logits } of records) {
        const chosen = theirs.subarray(layer * expertsUsed, (layer + 1) * expertsUsed);
        const { experts: ours, choice } = chooseExperts(shape.gating, logits, layer, expertsUsed);
        const least = Math.min(...ours.map((expert) => choice[expert] as number));
        const same = [...chosen].every((expert) => ours.includes(expert) || (choice[expert] ?? Number.NaN) >= least - TIE);
        if (!same)
          return `self-test: in layer ${layer} llama.cpp chose the experts ${[...chosen].sort((a, b) => a - b).join(' ')} for a token, and the tracer ${ours.sort((a, b) => a - b).join(' ')}`;
      }
    }
    const after = shim.stats();
    const lost = after.dropped + after.unattributed - before.dropped - before.unattributed;
    return lost === 0 ? undefined : `self-test: ${lost} router rows were lost`;
  } finally {
    shim.trace(sequence, false);
    shim.observeChoices(0);
  }
}
