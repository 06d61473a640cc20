// mixgate-runtime evaluate
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { messageOf } from '../../../src/core/errors.ts';
import { usageBalance } from '../engine/trace-math.ts';
import { EngineError, type RequestTrace, type TokenScore } from '../engine/types.ts';
import { chosenExperts } from '../server/moe.ts';
import { type EvaluationReport, evaluationTable, type Figures } from './evaluation-report.ts';
import { loadOffline, type Offline, type Scored } from './offline.ts';
import { writePage } from './output.ts';
import { ENGINE_FLAGS, engineFlags, existing, number, oneOf, parseFlags, required, text, UsageError } from './usage.ts';

export const EVALUATE_HELP = `mixgate-runtime evaluate: perplexity of a model by segment and by expert

Usage:
  mixgate-runtime evaluate --model FILE --corpus DIR [--window N] [--max-windows N] [--format json|text] [--html FILE]
                           [--threads N] [--gpu KIND] [--context N]

The corpus is a folder: a sub-folder, or a file by its name without extension, is a segment. .txt files are one document; .ndjson and
.jsonl files have one JSON object a line with "text" or "prompt", and "segment" where the file holds several. Documents are scored in
windows of --window tokens' worth of text (default 200, about; halved where that is more than the context), each starting with BOS.

Per expert: perplexity of the tokens predicted at a position that used the expert in that layer. It tells which expert a loss sits with;
it is an association, not a cause. --html writes a page with the same figures as heat maps beside what is printed.

Examples:
  mixgate-runtime evaluate --model mixtral-micro-q8_0.gguf --corpus canary/corpus
  mixgate-runtime evaluate --model bad.gguf --corpus corpus --max-windows 20 --format text
  mixgate-runtime evaluate --model bad.gguf --corpus corpus --html evaluation.html > evaluation.json
`;

const MAX_CORPUS_BYTES = 64 * 1024 * 1024;
/** Characters a token is taken for when cutting windows; windows are then scored whole as long as they fit the context. */
const CHARACTERS_PER_TOKEN = 3;

interface Text {
  segment: string;
  text: string;
}

/** Sums of one segment or expert; natural logs. */
interface Sum {
  tokens: number;
  bytes: number;
  logprob: number;
}

function emptySum(): Sum {
  return { tokens: 0, bytes: 0, logprob: 0 };
}

function fromLines(path: string, fallback: string): Text[] {
  const out: Text[] = [];
  for (const [index, line] of readFileSync(path, 'utf8').split('\n').entries()) {
    if (line.trim() === '') continue;
    let entry: unknown;
    try {
      entry = JSON.parse(line);
    } catch (error) {
      throw new UsageError(`${path}:${index + 1}: not JSON: ${messageOf(error)}`);
    }
    const { text, prompt, segment } = (typeof entry === 'object' && entry !== null ? entry : {}) as {
      text?: unknown;
      prompt?: unknown;
      segment?: unknown;
    };
    const value = text ?? prompt;
    if (typeof value !== 'string') throw new UsageError(`${path}:${index + 1}: expected an object with "text" or "prompt"`);
    out.push({ segment: typeof segment === 'string' ? segment : fallback, text: value });
  }
  return out;
}

/** The texts of a corpus folder, in stable order. @throws UsageError */
function readCorpus(root: string): Text[] {
  if (!statSync(root).isDirectory()) throw new UsageError(`--corpus: ${root} is not a directory`);
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(txt|ndjson|jsonl)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  if (bytes > MAX_CORPUS_BYTES) throw new UsageError(`--corpus: ${bytes} bytes, more than ${MAX_CORPUS_BYTES}`);
  const texts = files.flatMap((file) => {
    const parts = relative(root, file).split(/[\\/]/);
    const segment = parts.length > 1 ? (parts[0] as string) : (parts[0] as string).replace(/\.[^.]+$/, '');
    return file.endsWith('.txt') ? [{ segment, text: readFileSync(file, 'utf8') }] : fromLines(file, segment);
  });
  if (texts.length === 0) throw new UsageError(`--corpus: no .txt, .ndjson or .jsonl file under ${root}`);
  return texts;
}

/** Cuts text into windows of about `characters`, never inside a surrogate pair. */
function windows(text: string, characters: number): string[] {
  const points = [...text];
  const out: string[] = [];
  for (let at = 0; at < points.length; at += characters) out.push(points.slice(at, at + characters).join(''));
  return out;
}

/** A window's scores. One with more tokens than the context holds (a script that takes many tokens a character) is scored in halves. */
async function* scored(offline: Offline, piece: string): AsyncGenerator<Scored, void, undefined> {
  try {
    yield await offline.score({ prompt: { kind: 'text', text: piece } });
    return;
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'CONTEXT_EXCEEDED') throw error;
    const points = [...piece];
    if (points.length < 2) throw error;
    for (const half of windows(piece, Math.ceil(points.length / 2))) yield* scored(offline, half);
  }
}

function addTo(sum: Sum, score: TokenScore): void {
  if (score.logprob === null) return;
  sum.tokens++;
  sum.bytes += score.bytes.length;
  sum.logprob += score.logprob;
}

function figures(sum: Sum): Figures {
  return {
    tokens: sum.tokens,
    bytes: sum.bytes,
    perplexity: sum.tokens === 0 ? null : Math.exp(-sum.logprob / sum.tokens),
    bits_per_byte: sum.bytes === 0 ? null : -sum.logprob / Math.LN2 / sum.bytes,
  };
}

/** Adds a window's tokens to the experts that were used at the position each was predicted from. */
function addExperts(into: Map<number, Sum[]>, usage: Map<number, number[]>, trace: RequestTrace, scores: TokenScore[]): void {
  const { rows } = trace;
  if (rows === undefined) return;
  for (let index = 0; index < rows.position.length; index++) {
    const layer = rows.layer[index] as number;
    const next = scores[(rows.position[index] as number) + 1];
    if (next === undefined) continue;
    const sums = into.get(layer) ?? Array.from({ length: rows.experts }, emptySum);
    const counts = usage.get(layer) ?? new Array<number>(rows.experts).fill(0);
    into.set(layer, sums);
    usage.set(layer, counts);
    for (const expert of chosenExperts(rows, index)) {
      addTo(sums[expert] as Sum, next);
      counts[expert] = (counts[expert] ?? 0) + 1;
    }
  }
}

/** Scores a corpus and prints figures by segment and by expert. */
export async function evaluateCommand(args: string[]): Promise<void> {
  const string = { type: 'string' } as const;
  const flags = parseFlags(args, {
    model: string,
    corpus: string,
    window: string,
    'max-windows': string,
    format: string,
    html: string,
    ...ENGINE_FLAGS,
  });
  const model = existing(required(flags, 'model', 'a GGUF file'), 'model');
  const corpus = readCorpus(existing(required(flags, 'corpus', 'a folder of texts'), 'corpus'));
  const format = oneOf(flags, 'format', ['json', 'text']) ?? 'json';
  const html = text(flags, 'html');
  const engine = engineFlags(flags);
  const window = number(flags, 'window', { min: 8, max: (engine.context ?? 512) - 64 }) ?? 200;
  const limit = number(flags, 'max-windows', { min: 1, max: 1_000_000 }) ?? Number.POSITIVE_INFINITY;
  await using offline = await loadOffline({ model, ...engine, traceRecords: 262_144 });
  const segments = new Map<
    string,
    { sum: Sum; windows: number; skipped: number; experts: Map<number, Sum[]>; usage: Map<number, number[]> }
  >();
  const total = emptySum();
  for (const { segment, text: document } of corpus) {
    const entry = segments.get(segment) ?? {
      sum: emptySum(),
      windows: 0,
      skipped: 0,
      experts: new Map<number, Sum[]>(),
      usage: new Map<number, number[]>(),
    };
    segments.set(segment, entry);
    for (const piece of windows(document, window * CHARACTERS_PER_TOKEN)) {
      if (entry.windows >= limit) {
        entry.skipped++;
        continue;
      }
      for await (const { scores, trace } of scored(offline, piece)) {
        entry.windows++;
        for (const score of scores) {
          addTo(entry.sum, score);
          addTo(total, score);
        }
        if (trace !== undefined) addExperts(entry.experts, entry.usage, trace, scores);
      }
    }
  }
  const report: EvaluationReport = {
    model,
    window,
    trace_available: offline.info.trace.available,
    total: figures(total),
    segments: Object.fromEntries(
      [...segments].map(([name, entry]) => [
        name,
        {
          ...figures(entry.sum),
          windows: entry.windows,
          windows_skipped: entry.skipped,
          layers: [...entry.experts]
            .sort(([a], [b]) => a - b)
            .map(([layer, sums]) => ({
              layer,
              usage_entropy_ratio: usageBalance(entry.usage.get(layer) ?? []).normalizedEntropy,
              experts: sums.map((sum, expert) => ({ expert, usage: entry.usage.get(layer)?.[expert] ?? 0, ...figures(sum) })),
            })),
        },
      ]),
    ),
  };
  if (html !== undefined) {
    const { evaluationPage } = await import('../report/evaluation-page.ts');
    writePage(html, evaluationPage(report));
  }
  process.stdout.write(format === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : evaluationTable(report));
}
