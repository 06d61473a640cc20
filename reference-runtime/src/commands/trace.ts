// mixgate-runtime trace
import { expertWeights, topExperts } from '../engine/trace-math.ts';
import type { EngineInfo, TokenScore } from '../engine/types.ts';
import { EngineError } from '../engine/types.ts';
import { type TokenTrace, tokenTraces } from '../server/moe.ts';
import { loadOffline } from './offline.ts';
import { ENGINE_FLAGS, engineFlags, existing, number, oneOf, parseFlags, required } from './usage.ts';

export const TRACE_HELP = `mixgate-runtime trace: which experts each token used, layer by layer

Usage:
  mixgate-runtime trace --model FILE --prompt TEXT [--max-tokens N] [--format text|json] [--threads N] [--gpu KIND] [--context N]

A cell is the chosen experts with their weights in per cent: 3:71 5:29. The last layer is computed only where logits are asked for;
here they are, for every token. The last token that is generated is not routed: nothing follows it.

Examples:
  mixgate-runtime trace --model mixtral-micro-q8_0.gguf --prompt "def main():"
  mixgate-runtime trace --model mixtral-micro-q8_0.gguf --prompt "Der Rechner" --max-tokens 8 --format json
`;

/** Traces a prompt and prints the routing. */
export async function traceCommand(args: string[]): Promise<void> {
  const string = { type: 'string' } as const;
  const flags = parseFlags(args, { model: string, prompt: string, format: string, 'max-tokens': string, ...ENGINE_FLAGS });
  const model = existing(required(flags, 'model', 'a GGUF file'), 'model');
  const prompt = required(flags, 'prompt', 'the text to trace');
  const format = oneOf(flags, 'format', ['text', 'json']) ?? 'text';
  const maxTokens = number(flags, 'max-tokens', { min: 0, max: 1_000_000 }) ?? 0;
  await using offline = await loadOffline({ model, ...engineFlags(flags), traceRecords: 262_144 });
  if (!offline.info.trace.available)
    throw new EngineError('LOAD_FAILED', `router tracing is not available: ${offline.info.trace.reason}`);
  const scored = await offline.score({ prompt: { kind: 'text', text: prompt }, maxTokens });
  const rows = scored.trace?.rows;
  if (scored.trace === undefined || rows === undefined || scored.trace.dropped > 0)
    throw new EngineError('ENGINE_DIED', `the trace is incomplete: ${scored.trace?.dropped ?? 'all'} rows lost`);
  const tokens = tokenTraces(rows);
  const all = [...scored.scores, ...scored.completionTokens];
  process.stdout.write(format === 'json' ? json(offline.info, model, tokens, all) : table(offline.info, tokens, all));
}

function json(info: EngineInfo, model: string, tokens: TokenTrace[], scores: TokenScore[]): string {
  const body = {
    model,
    layers: info.layers,
    experts: info.experts,
    experts_used: info.expertsUsed,
    tokens: tokens.map((entry) => ({
      text: scores[entry.position]?.text ?? '',
      logprob: scores[entry.position]?.logprob ?? null,
      ...entry,
    })),
  };
  return `${JSON.stringify(body, undefined, 2)}\n`;
}

function table(info: EngineInfo, tokens: TokenTrace[], scores: TokenScore[]): string {
  const cell = (entry: TokenTrace, layer: number): string => {
    const found = entry.layers.find((candidate) => candidate.layer === layer);
    if (found === undefined) return '-';
    const experts = topExperts(found.probabilities, info.expertsUsed);
    return expertWeights(found.probabilities, experts)
      .map((weight, rank) => `${experts[rank]}:${String(Math.round(weight * 100)).padStart(2)}`)
      .join(' ');
  };
  const header = ['pos', 'token', ...Array.from({ length: info.layers }, (_, layer) => `layer ${layer}`)];
  const lines = tokens.map((entry) => [
    String(entry.position),
    JSON.stringify(scores[entry.position]?.text ?? ''),
    ...Array.from({ length: info.layers }, (_, layer) => cell(entry, layer)),
  ]);
  const widths = header.map((name, column) => Math.max(name.length, ...lines.map((line) => (line[column] ?? '').length)));
  return `${[header, ...lines]
    .map((line) =>
      line
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')}\n`;
}
