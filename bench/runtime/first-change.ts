// How well `trace --compare` names a damaged expert: each expert of mixtral-micro damaged in turn, one text, the place where the models part.
// Usage: node bench/runtime/first-change.ts [--kind expert-corrupt]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadOffline, traced } from '../../reference-runtime/src/commands/offline.ts';
import { type FirstChange, firstChange } from '../../reference-runtime/src/engine/first-change.ts';
import { makeVariant, VARIANT_KINDS, type VariantOptions } from '../../reference-runtime/src/gguf/variants.ts';
import { type TokenTrace, tokenTraces } from '../../reference-runtime/src/server/moe.ts';

const { values } = parseArgs({ options: { kind: { type: 'string', default: 'expert-corrupt' } } });
const kind = VARIANT_KINDS.find((known) => known === values.kind);
if (kind === undefined) throw new Error(`--kind: expected one of ${VARIANT_KINDS.join(', ')}`);
const MODEL = fileURLToPath(new URL('../../reference-runtime/models/mixtral-micro-q8_0.gguf', import.meta.url));
/** Every language that the model knows, so that most experts are met. */
const TEXT =
  'The Congress shall have power to lay and collect taxes. Klicken Sie auf die Datei, um sie zu öffnen. Cliquez sur le bouton pour ' +
  'ouvrir le fichier. def main(argv):\n    return len(argv)\n{"name": "value", "version": 1, "type": "string"} Call me Ishmael. Wählen ' +
  'Sie Format - Zeichen. La liste des fichiers est affichée. func (t *T) Run() error { return nil }';

interface Side {
  tokens: TokenTrace[];
  logprobs: Array<number | null>;
}

async function side(model: string): Promise<Side> {
  await using offline = await loadOffline({ model, threads: 1, gpu: false, context: 512, traceRecords: 65_536 });
  const { trace, scores } = await traced(offline, { prompt: { kind: 'text', text: TEXT } });
  return { tokens: tokenTraces(trace), logprobs: scores.map(({ logprob }) => logprob) };
}

const folder = mkdtempSync(join(tmpdir(), 'mixgate-first-change-'));
const file = join(folder, 'variant.gguf');
const baseline = await side(MODEL);

async function changeOf(options: VariantOptions): Promise<FirstChange | undefined> {
  makeVariant(MODEL, file, options);
  const candidate = await side(file);
  return firstChange(baseline.tokens, candidate.tokens, { baseline: baseline.logprobs, candidate: candidate.logprobs });
}

const layers = baseline.tokens[0]?.layers.map(({ layer }) => layer) ?? [];
const experts = baseline.tokens[0]?.layers[0]?.probabilities.length ?? 0;
const counts = { alone: 0, 'one of two': 0, 'not named': 0, 'another named': 0, 'never used': 0 };
try {
  for (const layer of layers)
    for (let expert = 0; expert < experts; expert++) {
      const met = baseline.tokens.some((token) =>
        token.layers.some((gate) => gate.layer === layer && gate.experts.includes(expert)),
      );
      const change = await changeOf({ kind, layer, expert, seed: 1 });
      const named = change?.after === layer && change.experts.includes(expert);
      const result = !met
        ? 'never used'
        : named
          ? change.experts.length === 1
            ? 'alone'
            : 'one of two'
          : change === undefined || change.experts.length === 0
            ? 'not named'
            : 'another named';
      counts[result]++;
      console.log(`  layer ${layer} expert ${expert}: ${result}${change === undefined ? '' : ` (position ${change.position})`}`);
    }
  console.log(`${kind}, ${layers.length * experts} experts, ${baseline.tokens.length} tokens:`);
  for (const [name, count] of Object.entries(counts)) console.log(`  ${name}: ${count}`);
  const all = await changeOf({ kind: 'requantise', type: 'Q5_0' });
  console.log(`  every weight requantised (Q5_0): ${JSON.stringify(all)}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
