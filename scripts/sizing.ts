/**
 * Prints the table of docs/sizing.md from the same arithmetic as `mixgate catalog fit`, so that the page can't disagree with the
 * gate. `--write` puts it into the page, `--check` compares.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { planMemory } from '../src/catalog/memory-plan.ts';

const GIB = 2 ** 30;
const PAGE = join(import.meta.dirname, '..', 'docs/sizing.md');
const MARKS = ['<!-- table: node scripts/sizing.ts --write -->', '<!-- end of table -->'] as const;

/** Mixtral 8x7B: https://huggingface.co/mistralai/Mixtral-8x7B-v0.1/blob/main/config.json */
export const MIXTRAL = {
  family: 'mixtral',
  layers: 32,
  hiddenSize: 4096,
  heads: 32,
  kvHeads: 8,
  headDim: 128,
  feedForwardSize: 14336,
  vocabularySize: 32000,
  contextLength: 32768,
  experts: 8,
  activeExperts: 2,
} as const;
/**
 * Bytes of all weights. GGUF: published sizes of merged-expert files (https://huggingface.co/MaziyarPanahi/Mixtral-8x7B-Instruct-v0.1-GGUF and
 * https://huggingface.co/mradermacher/Mixtral-8x7B-v0.1-GGUF say 22.5, 28.4, 33.2, 38.4 and 49.6 GB); fp8 is a byte a parameter
 * (46,702,792,704).
 */
export const WEIGHTS = [
  ['Q3_K_M', 'llama.cpp', 22.5e9],
  ['Q4_K_M', 'llama.cpp', 28.45e9],
  ['Q5_K_M', 'llama.cpp', 33.2e9],
  ['Q6_K', 'llama.cpp', 38.4e9],
  ['FP8', 'vLLM', 46_702_792_704],
  ['Q8_0', 'llama.cpp', 49.63e9],
  ['F16 / BF16', 'either', 93.4e9],
] as const;
const CARDS = [
  ['H100 or A100, 80 GiB', 80],
  ['A100, 40 GiB', 40],
  ['RTX 4090, 24 GiB', 24],
] as const;
const CONTEXT = 8192;
const SEQUENCES = 8;
/** Driver, libraries, fragmentation: a twentieth stays free beside the overhead of 1 GiB a card. */
const UTILISATION = 0.95;
const MOST_CARDS = 8;

/** What the page plans: {@link MIXTRAL} with 8 sequences of 8,192 tokens. */
export function plan(weightBytes: number, gib: number, accelerators: number) {
  return planMemory(
    { architecture: MIXTRAL, weightBytes, context: CONTEXT, sequences: SEQUENCES, batchTokens: 512, kvCacheType: 'f16' },
    { memoryBytes: gib * GIB, accelerators, overheadBytes: GIB, utilisation: UTILISATION },
  );
}

function cell(weightBytes: number, gib: number): string {
  for (let cards = 1; cards <= MOST_CARDS; cards++) {
    if (plan(weightBytes, gib, cards).fits) return cards === 1 ? '1 card' : `${cards} cards`;
  }
  return 'no';
}

/** The markdown table. */
function sizingTable(): string {
  const gib = (bytes: number): string => (bytes / GIB).toFixed(1);
  const rows = WEIGHTS.map(([name, server, bytes]) => {
    const one = plan(bytes, 80, 1);
    return [name, server, gib(bytes), gib(one.kvCache), gib(one.total), ...CARDS.map(([, size]) => cell(bytes, size))];
  });
  const head = ['Weights', 'Server', 'Weights, GiB', 'KV cache, GiB', 'Needed on one card, GiB', ...CARDS.map(([name]) => name)];
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** The page with the current table in it. */
export function sizingPage(text: string): string {
  const [before, rest] = text.split(MARKS[0]);
  const after = rest?.split(MARKS[1])[1];
  if (before === undefined || after === undefined) throw new Error(`docs/sizing.md needs the marks ${MARKS.join(' and ')}`);
  return `${before}${MARKS[0]}\n\n${sizingTable()}\n\n${MARKS[1]}${after}`;
}

if (process.argv[1] === import.meta.filename) {
  const text = readFileSync(PAGE, 'utf8');
  if (process.argv.includes('--write')) writeFileSync(PAGE, sizingPage(text));
  else if (!process.argv.includes('--check')) console.log(sizingTable());
  else if (sizingPage(text) !== text) {
    console.error('docs/sizing.md is not current: run `node scripts/sizing.ts --write` and commit the result.');
    process.exitCode = 1;
  }
}
