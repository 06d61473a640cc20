// The engine itself, inside the child process: one model, one context, a pool of leased sequences, driven token by token.
import type { LlamaContext, LlamaContextSequence, LlamaModel, Token } from 'node-llama-cpp';
import { preflight } from '../gguf/preflight.ts';
import { mulberry32 } from '../gguf/random.ts';
import { loadShim, type Shim } from '../native/shim.ts';
import { batchingOptions } from './batching.ts';
import { ChatFormatError, mistralInstruct } from './chat-template.ts';
import type { ChildStats, LlamaOptions } from './protocol.ts';
import { logProbability, pick } from './sampling.ts';
import { StepBarrier } from './step-barrier.ts';
import { TextStream } from './text-stream.ts';
import { TraceCollector } from './trace-collector.ts';
import {
  EngineError,
  type EngineEvent,
  type EngineInfo,
  type FinishReason,
  type GenerateRequest,
  type Prompt,
  type TokenScore,
} from './types.ts';
import { readVocabulary, type Vocabulary } from './vocabulary.ts';

type Emit = (event: EngineEvent) => void;

interface Lease {
  sequence: LlamaContextSequence;
  id: number;
}

/** A generation in progress. */
interface Run {
  request: GenerateRequest;
  lease: Lease;
  tokens: number[];
  maxTokens: number;
  emit: Emit;
  signal: AbortSignal;
  /** Leaves the step barrier; set once the first token is out. */
  leave?: () => void;
}

/** How long a generation waits for the others between tokens, in milliseconds. */
const BARRIER_MS = 2;

function sequenceIdOf(sequence: LlamaContextSequence): number | undefined {
  const id = (sequence as unknown as { _sequenceId?: unknown })._sequenceId;
  return typeof id === 'number' ? id : undefined;
}

/** The model loaded in this process. Make it with `LlamaCore.load`. */
export class LlamaCore {
  readonly info: EngineInfo;
  readonly #model: LlamaModel;
  readonly #context: LlamaContext;
  readonly #vocabulary: Vocabulary;
  readonly #idle: Lease[];
  readonly #shim: Shim | undefined;
  readonly #collector: TraceCollector | undefined;
  readonly #activity: { generating: number };
  readonly #barrier = new StepBarrier(BARRIER_MS);

  private constructor(parts: {
    info: EngineInfo;
    model: LlamaModel;
    context: LlamaContext;
    vocabulary: Vocabulary;
    leases: Lease[];
    shim: Shim | undefined;
    collector: TraceCollector | undefined;
    activity: { generating: number };
  }) {
    this.info = parts.info;
    this.#model = parts.model;
    this.#context = parts.context;
    this.#vocabulary = parts.vocabulary;
    this.#idle = parts.leases;
    this.#shim = parts.shim;
    this.#collector = parts.collector;
    this.#activity = parts.activity;
  }

  /** Preflight, tracing addon, model, context, self-test: in this order. @throws GgufError, PreflightError, Error */
  static async load(options: LlamaOptions): Promise<LlamaCore> {
    const started = performance.now();
    const { shape } = preflight(options.modelPath, {
      context: options.context,
      sequences: options.sequences,
      batch: options.batch,
      gpu: options.gpu !== false,
    });
    const vocabulary = readVocabulary(options.modelPath);
    const traceable = options.traceRecords > 0 && shape.softmaxGate;
    const loaded = traceable
      ? loadShim()
      : {
          available: false as const,
          reason: options.traceRecords === 0 ? 'tracing is switched off' : 'the router is not a plain softmax over experts',
        };
    const { getLlama, LlamaLogLevel } = await import('node-llama-cpp');
    const llama = await getLlama({
      gpu: options.gpu,
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      logLevel: LlamaLogLevel.error,
      maxThreads: options.threads,
    });
    const model = await llama.loadModel({ modelPath: options.modelPath, ...(options.gpu === false ? { gpuLayers: 0 } : {}) });
    const activity = { generating: 0 };
    let context: LlamaContext | undefined;
    context = await model.createContext({
      contextSize: options.context,
      sequences: options.sequences,
      batchSize: options.batch,
      threads: options.threads,
      batching: batchingOptions(
        () => activity.generating,
        () => context,
      ),
      failedCreationRemedy: false,
    });
    const leases: Lease[] = [];
    let sequencesKnown = true;
    for (let index = 0; index < options.sequences; index++) {
      const sequence = context.getSequence();
      const id = sequenceIdOf(sequence);
      sequencesKnown = sequencesKnown && id !== undefined;
      leases.push({ sequence, id: id ?? index });
    }
    let trace =
      loaded.available && !sequencesKnown
        ? { available: false, reason: 'this node-llama-cpp does not tell sequence ids' }
        : { available: loaded.available, reason: loaded.available ? '' : loaded.reason };
    const shim = loaded.available && trace.available ? loaded.shim : undefined;
    let collector = shim === undefined ? undefined : new TraceCollector(shim, shape, options.traceRecords);
    if (collector !== undefined) {
      const reason = await selfTest(leases[0] as Lease, collector, shape.layers, vocabulary.bos ?? 0);
      if (reason !== undefined) {
        collector = undefined;
        trace = { available: false, reason };
      }
    }
    const info: EngineInfo = {
      engine: 'llama',
      model: options.modelId,
      context: options.context,
      sequences: options.sequences,
      threads: options.threads,
      gpu: llama.gpu === false ? 'false' : llama.gpu,
      loadMs: performance.now() - started,
      layers: shape.layers,
      experts: shape.experts,
      expertsUsed: shape.expertsUsed,
      parameters: shape.parameters,
      fileBytes: shape.fileBytes,
      trace,
    };
    return new LlamaCore({ info, model, context, vocabulary, leases, shim, collector, activity });
  }

  stats(): ChildStats {
    const out: ChildStats = { rssBytes: process.memoryUsage.rss() };
    if (this.#shim !== undefined) {
      const { recorded, dropped, unattributed, pending, capacity, steps, rows } = this.#shim.stats();
      out.trace = { recorded, dropped, unattributed, pending, capacity, steps, rows };
    }
    return out;
  }

  async dispose(): Promise<void> {
    await this.#context.dispose();
    await this.#model.dispose();
  }

  /** Runs one request to its `done` event, or quietly to its end when the signal is aborted. @throws EngineError */
  async run(request: GenerateRequest, emit: Emit, signal: AbortSignal): Promise<void> {
    const tokens = this.#tokenize(request.prompt);
    const room = this.info.context - 1 - tokens.length;
    if (room < (request.maxTokens > 0 ? 1 : 0)) {
      throw new EngineError(
        'CONTEXT_EXCEEDED',
        `the prompt has ${tokens.length} tokens and the context of ${this.info.context} leaves no room for a completion`,
      );
    }
    // The lowest idle id: llama.cpp batches consecutive sequence ids only.
    this.#idle.sort((a, b) => a.id - b.id);
    const lease = this.#idle.shift();
    if (lease === undefined) throw new EngineError('ENGINE_UNAVAILABLE', 'no sequence is free');
    this.#activity.generating++;
    if (request.trace !== 'off') this.#collector?.begin(lease.id, request.trace);
    const run: Run = { request, lease, tokens, maxTokens: Math.min(request.maxTokens, room), emit, signal };
    let done: EngineEvent | undefined;
    try {
      done = await this.#generate(run);
    } finally {
      run.leave?.();
      this.#activity.generating--;
      this.#collector?.end(lease.id);
      await lease.sequence.clearHistory();
      this.#idle.push(lease);
    }
    // Last of all: whoever waits takes `done` for a free sequence, and clearing may wait for a decode of the others.
    if (done !== undefined) emit(done);
  }

  #tokenize(prompt: Prompt): number[] {
    const text = (value: string): number[] => this.#model.tokenize(value, false);
    const bos = this.#vocabulary.bos === undefined ? [] : [this.#vocabulary.bos];
    switch (prompt.kind) {
      case 'text':
        return [...bos, ...text(prompt.text)];
      case 'tokens': {
        const wrong = prompt.tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= this.#vocabulary.size);
        if (wrong !== undefined)
          throw new EngineError('BAD_PROMPT', `token ${wrong} is not in the vocabulary of ${this.#vocabulary.size}`);
        if (prompt.tokens.length === 0) throw new EngineError('BAD_PROMPT', 'the prompt has no tokens');
        return prompt.tokens;
      }
      case 'chat':
        try {
          const eos = this.#vocabulary.eos === undefined ? [] : [this.#vocabulary.eos];
          return mistralInstruct(prompt.messages).flatMap((part) =>
            'text' in part ? text(part.text) : part.control === 'bos' ? bos : eos,
          );
        } catch (error) {
          if (error instanceof ChatFormatError) throw new EngineError('BAD_PROMPT', error.message);
          throw error;
        }
    }
  }

  /** The closing event; nothing for an aborted request. */
  async #generate(run: Run): Promise<EngineEvent | undefined> {
    const { request, lease, tokens, emit } = run;
    let completion: { finishReason: FinishReason; count: number };
    if (request.echo) {
      const last = await this.#scorePrompt(run);
      completion = await this.#continueScored(run, last);
    } else {
      emit({ type: 'prompt', tokens: tokens.length });
      completion = request.logprobs === undefined ? await this.#continuePlain(run) : await this.#continueScored(run, undefined);
    }
    if (run.signal.aborted) return undefined;
    const trace = this.#collector?.end(lease.id);
    return {
      type: 'done',
      finishReason: completion.finishReason,
      promptTokens: tokens.length,
      completionTokens: completion.count,
      ...(trace === undefined ? {} : { trace }),
    };
  }

  /** Evaluates the prompt with a distribution at every token; emits its scores and returns the distribution after the last. */
  async #scorePrompt(run: Run): Promise<Map<number, number>> {
    const { request, lease, tokens } = run;
    const scores: TokenScore[] = [this.#score(tokens[0] as number, undefined, 0)];
    let last: Map<number, number> | undefined;
    const input = tokens.map((token): [Token, { generateNext: { probabilities: true; options: { temperature: 0 } } }] => [
      token as Token,
      { generateNext: { probabilities: true, options: { temperature: 0 } } },
    ]);
    await lease.sequence.controlledEvaluate(input, {
      evaluationPriority: request.priority,
      onTokenResult: (index, output) => {
        const distribution = output.next.probabilities as Map<number, number> | undefined;
        const next = tokens[index + 1];
        if (next === undefined) last = distribution;
        else scores[index + 1] = this.#score(next, distribution, request.logprobs ?? 0);
        // The distribution of every position would otherwise stay alive until the whole prompt is done.
        delete output.next.probabilities;
      },
    });
    this.#collector?.drain();
    if (last === undefined) throw new EngineError('ENGINE_DIED', 'the model gave no distribution for the prompt');
    run.emit({ type: 'prompt', tokens: tokens.length, scores });
    return last;
  }

  #score(token: number, distribution: Map<number, number> | undefined, top: number): TokenScore {
    const bytes = (id: number): number[] => [...this.#vocabulary.bytes(id)];
    const base = { id: token, text: this.#vocabulary.label(token), bytes: bytes(token) };
    if (distribution === undefined) return { ...base, logprob: null, top: [] };
    const alternatives: TokenScore['top'] = [];
    for (const [id, probability] of distribution) {
      if (alternatives.length >= top) break;
      alternatives.push({ id, text: this.#vocabulary.label(id), bytes: bytes(id), logprob: logProbability(probability) });
    }
    return { ...base, logprob: logProbability(distribution.get(token) ?? 0), top: alternatives };
  }

  /** Waits for the other generations, so that one decode serves all. A request takes part from its first token on. */
  #inStep(run: Run): Promise<void> | undefined {
    run.leave ??= this.#barrier.join();
    return this.#barrier.arrive();
  }

  /** llama.cpp samples; no log probabilities. */
  async #continuePlain(run: Run): Promise<{ finishReason: FinishReason; count: number }> {
    const { request, lease, tokens, signal } = run;
    if (run.maxTokens === 0) {
      await lease.sequence.evaluateWithoutGeneratingNewTokens(tokens as Token[], { evaluationPriority: request.priority });
      return { finishReason: 'length', count: 0 };
    }
    const stream = new TextStream(request.stop);
    let count = 0;
    const options = {
      temperature: request.temperature,
      topP: request.topP,
      topK: 0,
      minP: 0,
      evaluationPriority: request.priority,
      ...(request.seed === undefined ? {} : { seed: request.seed }),
    };
    for await (const token of lease.sequence.evaluate(tokens as Token[], options)) {
      if (signal.aborted) return { finishReason: 'stop', count };
      this.#collector?.drain();
      count++;
      const emitted = stream.push(this.#vocabulary.bytes(token));
      run.emit({ type: 'token', text: emitted.text });
      if (emitted.stopped) return { finishReason: 'stop', count };
      if (count >= run.maxTokens) break;
      await this.#inStep(run);
    }
    const rest = stream.finish();
    if (rest.text !== '') run.emit({ type: 'token', text: rest.text, tail: true });
    return { finishReason: count >= run.maxTokens && !rest.stopped ? 'length' : 'stop', count };
  }

  /** Samples here from the model's own distribution, so that log probabilities are the model's whatever the temperature. */
  async #continueScored(
    run: Run,
    first: Map<number, number> | undefined,
  ): Promise<{ finishReason: FinishReason; count: number }> {
    const { request, lease, signal } = run;
    if (run.maxTokens === 0) return { finishReason: 'length', count: 0 };
    const uniform = mulberry32(request.seed ?? Math.floor(Math.random() * 2 ** 32));
    const stream = new TextStream(request.stop);
    const eog = (token: number): boolean => this.#model.isEogToken(token as Token);
    let count = 0;
    let stopped = false;
    const accept = (distribution: Map<number, number>): number | undefined => {
      const token = pick(distribution, request.temperature, request.topP, uniform);
      if (eog(token)) {
        stopped = true;
        return undefined;
      }
      count++;
      const emitted = stream.push(this.#vocabulary.bytes(token));
      stopped = emitted.stopped;
      run.emit({
        type: 'token',
        text: emitted.text,
        ...(request.logprobs === undefined ? {} : { score: this.#score(token, distribution, request.logprobs) }),
      });
      return stopped ? undefined : token;
    };
    let next: number | undefined;
    if (first !== undefined) next = accept(first);
    if (first === undefined || (next !== undefined && count < run.maxTokens)) {
      const iterator = lease.sequence.evaluateWithMetadata(
        (next === undefined ? run.tokens : [next]) as Token[],
        { probabilities: true },
        { temperature: 0, yieldEogToken: true, evaluationPriority: request.priority },
      );
      try {
        let step = await iterator.next();
        while (!step.done && !signal.aborted) {
          this.#collector?.drain();
          const token = accept(step.value.probabilities as Map<number, number>);
          if (token === undefined || count >= run.maxTokens) break;
          await this.#inStep(run);
          step = await iterator.next(token as Token);
        }
      } finally {
        await iterator.return();
      }
    }
    const rest = stopped ? { text: '', stopped: true } : stream.finish();
    if (rest.text !== '') run.emit({ type: 'token', text: rest.text, tail: true });
    return { finishReason: stopped || rest.stopped ? 'stop' : 'length', count };
  }
}

/** One traced token through the model: undefined when every layer was seen exactly once, else why tracing must stay off. */
async function selfTest(lease: Lease, collector: TraceCollector, layers: number, token: number): Promise<string | undefined> {
  collector.begin(lease.id, 'summary');
  try {
    await lease.sequence.controlledEvaluate([[token as Token, { generateNext: { token: true, options: { temperature: 0 } } }]]);
  } finally {
    await lease.sequence.clearHistory();
  }
  const trace = collector.end(lease.id);
  const seen = trace?.layers.filter((layer) => layer.rows === 1).length ?? 0;
  if (trace === undefined || seen !== layers || trace.dropped > 0)
    return `self-test: expected one router row in each of ${layers} layers, saw ${seen}`;
  return undefined;
}
