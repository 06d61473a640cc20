// The engine without a server, for the commands that score or trace a model file.
import { defaultThreads } from '../config/load.ts';
import { LlamaEngine } from '../engine/llama-engine.ts';
import {
  EngineError,
  type EngineEvent,
  type EngineInfo,
  type GenerateRequest,
  type RequestTrace,
  type TokenScore,
} from '../engine/types.ts';

export interface OfflineOptions {
  model: string;
  threads: number | undefined;
  gpu: 'auto' | 'cuda' | 'vulkan' | 'metal' | false | undefined;
  context: number | undefined;
  traceRecords: number;
}

/** A text with its scores, its routing, and what followed it. */
export interface Scored {
  scores: TokenScore[];
  completion: string;
  completionTokens: TokenScore[];
  trace: RequestTrace | undefined;
}

/** A loaded engine for one after the other requests. */
export interface Offline extends AsyncDisposable {
  info: EngineInfo;
  score(request: Pick<GenerateRequest, 'prompt'> & Partial<GenerateRequest>): Promise<Scored>;
}

/** Loads a model. @throws EngineError with the reason it cannot be */
export async function loadOffline(options: OfflineOptions): Promise<Offline> {
  const context = options.context ?? 512;
  const engine = new LlamaEngine({
    modelPath: options.model,
    modelId: options.model,
    context,
    sequences: 1,
    batch: Math.min(512, context),
    threads: options.threads ?? defaultThreads(),
    gpu: options.gpu ?? false,
    traceRecords: options.traceRecords,
  });
  const info = await engine.load();
  let count = 0;
  return {
    info,
    async score(request) {
      const out: Scored = { scores: [], completion: '', completionTokens: [], trace: undefined };
      const whole: GenerateRequest = {
        id: `offline-${count++}`,
        maxTokens: 0,
        temperature: 0,
        topP: 1,
        stop: [],
        logprobs: 0,
        echo: true,
        priority: 3,
        trace: 'full',
        ...request,
      };
      for await (const event of engine.generate(whole, new AbortController().signal)) collect(out, event);
      return out;
    },
    async [Symbol.asyncDispose]() {
      await engine.dispose();
    },
  };
}

function collect(out: Scored, event: EngineEvent): void {
  if (event.type === 'prompt') out.scores = event.scores ?? [];
  else if (event.type === 'token') {
    out.completion += event.text;
    if (event.score !== undefined) out.completionTokens.push(event.score);
  } else out.trace = event.trace;
}

/** A whole trace, or the reason why there is none. @throws EngineError */
export async function traced(
  offline: Offline,
  request: Parameters<Offline['score']>[0],
): Promise<Scored & { trace: RequestTrace }> {
  if (!offline.info.trace.available)
    throw new EngineError('LOAD_FAILED', `router tracing is not available: ${offline.info.trace.reason}`);
  const scored = await offline.score(request);
  const { trace } = scored;
  if (trace?.rows === undefined || trace.dropped > 0)
    throw new EngineError('ENGINE_DIED', `the trace is incomplete: ${trace?.dropped ?? 'all'} rows lost`);
  return { ...scored, trace };
}
