// Requests to engines and what came back, in one piece.
import type { Engine, EngineEvent, GenerateRequest, RequestTrace, TokenScore } from '../../src/engine/types.ts';

let count = 0;

export function request(more: Partial<GenerateRequest> & { text?: string } = {}): GenerateRequest {
  const { text = 'Hello', ...rest } = more;
  return {
    id: `test-${count++}`,
    prompt: { kind: 'text', text },
    maxTokens: 16,
    temperature: 0,
    topP: 1,
    stop: [],
    echo: false,
    priority: 3,
    trace: 'off',
    ...rest,
  };
}

export interface Collected {
  text: string;
  scores: TokenScore[];
  promptScores: TokenScore[];
  done: Extract<EngineEvent, { type: 'done' }> | undefined;
  trace: RequestTrace | undefined;
}

export async function collect(
  engine: Engine,
  wanted: GenerateRequest,
  signal = new AbortController().signal,
): Promise<Collected> {
  const out: Collected = { text: '', scores: [], promptScores: [], done: undefined, trace: undefined };
  for await (const event of engine.generate(wanted, signal)) {
    if (event.type === 'prompt') out.promptScores = event.scores ?? [];
    else if (event.type === 'token') {
      out.text += event.text;
      if (event.score !== undefined) out.scores.push(event.score);
    } else {
      out.done = event;
      out.trace = event.trace;
    }
  }
  return out;
}
