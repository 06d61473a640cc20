// mixgate-runtime trace
import { basename } from 'node:path';
import type { EngineInfo } from '../engine/types.ts';
import { type TokenTrace, tokenTraces } from '../server/moe.ts';
import { loadOffline, traced } from './offline.ts';
import { columns, weightsCell, writePage } from './output.ts';
import { compareModels } from './trace-compare.ts';
import { ENGINE_FLAGS, engineFlags, existing, number, oneOf, parseFlags, required, text, UsageError } from './usage.ts';

export const TRACE_HELP = `mixgate-runtime trace: which experts each token used, layer by layer

Usage:
  mixgate-runtime trace --model FILE --prompt TEXT [--max-tokens N] [--format text|json] [--html FILE]
                        [--layers LIST] [--compare FILE] [--threads N] [--gpu KIND] [--context N]

A cell is the chosen experts with their weights in per cent: 3:71 5:29. The last layer is computed only where logits are asked for;
here they are, for every token. The last token that is generated is not routed: nothing follows it.

--layers 0,12-15 leaves the other layers out of the table; JSON and page have all of them.
--html writes a page beside what is printed: a heat map of experts by layer, and the text as tokens coloured by expert. It needs
no script and loads nothing.
--compare takes a second model of the same shape and vocabulary. Both read the same tokens, the prompt and what the first model makes of
it; printed is where they first differ, which experts it can be, and where the second one routes tokens to other experts.

Examples:
  mixgate-runtime trace --model mixtral-micro-q8_0.gguf --prompt "def main():"
  mixgate-runtime trace --model mixtral-micro-q8_0.gguf --prompt "Der Rechner" --max-tokens 8 --format json
  mixgate-runtime trace --model mixtral-micro-q8_0.gguf --prompt "The Congress shall" --max-tokens 40 --html trace.html
  mixgate-runtime trace --model mixtral-micro-q8_0.gguf --compare candidate.gguf --prompt "Der Rechner" --html compare.html
`;

/** Traces a prompt and prints the routing. */
export async function traceCommand(args: string[]): Promise<void> {
  const string = { type: 'string' } as const;
  const flags = parseFlags(args, {
    model: string,
    prompt: string,
    format: string,
    html: string,
    compare: string,
    layers: string,
    'max-tokens': string,
    ...ENGINE_FLAGS,
  });
  const model = existing(required(flags, 'model', 'a GGUF file'), 'model');
  const prompt = required(flags, 'prompt', 'the text to trace');
  const format = oneOf(flags, 'format', ['text', 'json']) ?? 'text';
  const maxTokens = number(flags, 'max-tokens', { min: 0, max: 1_000_000 }) ?? 0;
  const html = text(flags, 'html');
  if (html === '') throw new UsageError('--html needs the file to write');
  const candidate = text(flags, 'compare');
  const wanted = text(flags, 'layers');
  if (wanted !== undefined && (candidate !== undefined || format === 'json'))
    throw new UsageError('--layers is for the table of one model: the JSON and a comparison have every layer');
  const options = { ...engineFlags(flags), traceRecords: 262_144 };
  if (candidate !== undefined) {
    await compareModels({ model, candidate: existing(candidate, 'compare'), prompt, maxTokens, format, html, options });
    return;
  }
  const ranges = wanted === undefined ? undefined : layerRanges(wanted);
  await using offline = await loadOffline({ model, ...options });
  const { trace, scores, completionTokens } = await traced(offline, { prompt: { kind: 'text', text: prompt }, maxTokens });
  const tokens = tokenTraces(trace);
  const logprobs = [...scores, ...completionTokens].map((score) => score.logprob);
  if (html !== undefined) {
    const { tracePage } = await import('../report/trace-page.ts');
    writePage(html, tracePage({ title: 'Router trace', trace, logprobs, about: [['Model', basename(model)]] }));
  }
  const routed = tokens.filter((token) => token.layers.length > 0);
  process.stdout.write(
    format === 'json' ? json(offline.info, model, routed, logprobs) : table(routed, shownLayers(offline.info, ranges)),
  );
}

function json(info: EngineInfo, model: string, tokens: TokenTrace[], logprobs: Array<number | null>): string {
  const body = {
    model,
    layers: info.layers,
    experts: info.experts,
    experts_used: info.expertsUsed,
    tokens: tokens.map((entry) => ({ logprob: logprobs[entry.position] ?? null, ...entry })),
  };
  return `${JSON.stringify(body, undefined, 2)}\n`;
}

type Range = readonly [first: number, last: number];

/** `0,12-15` as ranges. @throws UsageError */
function layerRanges(list: string): Range[] {
  return list.split(',').map((part) => {
    const { first, last = first } = /^\s*(?<first>\d{1,5})(?:-(?<last>\d{1,5}))?\s*$/.exec(part)?.groups ?? {};
    if (first === undefined || Number(last) < Number(first))
      throw new UsageError(`--layers ${list}: expected layers and ranges of them, as in 0,12-15`);
    return [Number(first), Number(last)];
  });
}

/** @throws UsageError for a layer that the model does not have */
function shownLayers({ layers }: EngineInfo, ranges: readonly Range[] = [[0, layers - 1]]): number[] {
  const beyond = ranges.find(([, last]) => last >= layers);
  if (beyond !== undefined) throw new UsageError(`--layers: layer ${beyond[1]} does not exist; the model has 0 to ${layers - 1}`);
  return Array.from({ length: layers }, (_, layer) => layer).filter((layer) =>
    ranges.some(([first, last]) => layer >= first && layer <= last),
  );
}

function table(tokens: TokenTrace[], layers: readonly number[]): string {
  return columns([
    ['pos', 'token', ...layers.map((layer) => `layer ${layer}`)],
    ...tokens.map((entry) => [
      String(entry.position),
      JSON.stringify(entry.text),
      ...layers.map((layer) => weightsCell(entry.layers.find((gate) => gate.layer === layer))),
    ]),
  ]);
}
