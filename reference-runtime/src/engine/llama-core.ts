// The engine itself, inside the child process: one model, one context, a pool of leased sequences, driven token by token.
import { availableParallelism } from 'node:os';
import type { Llama, LlamaContext, LlamaModel, Token } from 'node-llama-cpp';
import { messageOf } from '../../../src/core/errors.ts';
import type { Gating } from '../gguf/gating.ts';
import { planMemory } from '../gguf/memory.ts';
import type { ModelShape } from '../gguf/model-shape.ts';
import { planGpu, preflight } from '../gguf/preflight.ts';
import { loadShim, type Shim } from '../native/shim.ts';
import { ChatFormatError, mistralInstruct } from './chat-template.ts';
import { type Device, nvidiaDriver } from './crash.ts';
import { Generation, type Run } from './generation.ts';
import { Grammars } from './grammar.ts';
import { backend, memoryOf } from './llama-backend.ts';
import { type GrammarState, type Native, nativeOf } from './native-context.ts';
import type { ChildStats, LlamaOptions } from './protocol.ts';
import { type Lane, Scheduler } from './scheduler.ts';
import { TraceCollector } from './trace-collector.ts';
import { traceSelfTest } from './trace-self-test.ts';
import { type DeviceMemory, EngineError, type EngineEvent, type EngineInfo, type GenerateRequest, type Prompt } from './types.ts';
import { readVocabulary, traceText, type Vocabulary } from './vocabulary.ts';

type Emit = (event: EngineEvent) => void;

/** What one loaded model is made of. */
interface Parts {
  info: EngineInfo;
  llama: Llama;
  model: LlamaModel;
  context: LlamaContext;
  vocabulary: Vocabulary;
  native: Native;
  scheduler: Scheduler;
  grammars: Grammars;
  shim: Shim | undefined;
  collector: TraceCollector | undefined;
}

/** The model loaded in this process. Make it with `LlamaCore.load`. */
export class LlamaCore {
  readonly info: EngineInfo;
  readonly #parts: Parts;
  readonly #model: LlamaModel;
  readonly #vocabulary: Vocabulary;
  readonly #collector: TraceCollector | undefined;
  readonly #idle: number[];
  readonly #lanes = new Map<string, Lane>();

  private constructor(parts: Parts) {
    this.info = parts.info;
    this.#parts = parts;
    this.#model = parts.model;
    this.#vocabulary = parts.vocabulary;
    this.#collector = parts.collector;
    this.#idle = Array.from({ length: parts.info.sequences }, (_, sequence) => sequence);
  }

  /**
   * Preflight, tracing addon, model, context, self-test: in this order.
   * @param afterStep called once after every decoding step: what it emitted can go out together
   * @param onDevice told what the model goes to, before anything is there
   * @throws GgufError, PreflightError, Error
   */
  static async load(
    wish: LlamaOptions,
    afterStep: () => void,
    onDevice: (device: Device) => void = () => {},
  ): Promise<LlamaCore> {
    const started = performance.now();
    // ggml's threads spin: with more than there are cores nothing else gets a turn, and the model itself hardly any.
    const options = { ...wish, threads: Math.min(wish.threads, availableParallelism()) };
    const { shape } = preflight(options.modelPath, {
      context: options.context,
      sequences: options.sequences,
      batch: options.batch,
      gpu: options.gpu !== false,
    });
    const vocabulary = readVocabulary(options.modelPath);
    const loaded = tracer(options.traceRecords, shape);
    const llama = await backend(options);
    const memory = await memoryOf(llama);
    const wanted = { ...options, gpuLayers: options.gpuLayers ?? 'auto', required: options.gpu !== 'auto' };
    const planned = planGpu(options.modelPath, shape, wanted, memory);
    const gpu = llama.gpu === false ? 'false' : llama.gpu;
    const driver = llama.gpu === false ? undefined : nvidiaDriver();
    onDevice({
      gpu,
      names: llama.gpu === false ? [] : await llama.getGpuDeviceNames(),
      gpuLayers: planned.gpuLayers,
      layers: shape.layers + 1,
      ...(driver === undefined ? {} : { driver }),
    });
    const model = await llama.loadModel({
      modelPath: options.modelPath,
      // node-llama-cpp may know of less room than was planned with, and then takes fewer.
      gpuLayers: wanted.gpuLayers === 'auto' ? { min: 0, max: planned.gpuLayers } : planned.gpuLayers,
    });
    const context = await model.createContext({
      contextSize: options.context,
      sequences: options.sequences,
      batchSize: options.batch,
      threads: options.threads,
      failedCreationRemedy: false,
    });
    const native = nativeOf(model, context);
    native.context.setThreads(options.threads);
    const shim = loaded.available ? loaded.shim : undefined;
    let trace = { available: loaded.available, reason: loaded.available ? '' : loaded.reason };
    let collector: TraceCollector | undefined;
    const scheduler = new Scheduler(native.context, options.batch, () => {
      collector?.drain();
      afterStep();
    });
    // Before the self-test: Mesa 22.3 crashes when a step of one row comes first.
    if (llama.gpu !== false) await warmUp(scheduler, native, Math.min(options.batch, options.context - 2), vocabulary.bos ?? 0);
    if (loaded.available) {
      const tokens = testTokens(vocabulary);
      const decode = (token: number): Promise<void> => scheduler.run(testLane(native, [token], () => undefined));
      const reason = await traceSelfTest(loaded.shim, {
        shape: { ...shape, gating: loaded.gating },
        tokens,
        sequence: 0,
        decode,
      });
      trace = { available: reason === undefined, reason: reason ?? '' };
      if (reason === undefined) collector = loaded.collector;
    }
    const info: EngineInfo = {
      engine: 'llama',
      model: options.modelId,
      context: options.context,
      sequences: options.sequences,
      threads: options.threads,
      gpu,
      loadMs: performance.now() - started,
      layers: shape.layers,
      experts: shape.experts,
      expertsUsed: shape.expertsUsed,
      parameters: shape.parameters,
      fileBytes: shape.fileBytes,
      trainedContext: shape.trainedContext,
      trace,
      memory: planMemory(shape, options, memory, model.gpuLayers),
    };
    const grammars = new Grammars(llama);
    return new LlamaCore({ info, llama, model, context, vocabulary, native, scheduler, grammars, shim, collector });
  }

  stats(): ChildStats {
    const out: ChildStats = { rssBytes: process.memoryUsage.rss() };
    if (this.#parts.shim !== undefined) {
      const { recorded, dropped, unattributed, pending, capacity, steps, rows, backends } = this.#parts.shim.stats();
      out.trace = { recorded, dropped, unattributed, pending, capacity, steps, rows, backends };
    }
    return out;
  }

  /** The GPU's memory now; undefined without one. */
  async vram(): Promise<DeviceMemory | undefined> {
    const { llama } = this.#parts;
    if (llama.gpu === false) return undefined;
    const { used, total } = await llama.getVramState();
    return { usedBytes: used, totalBytes: total };
  }

  async dispose(): Promise<void> {
    await this.#parts.context.dispose();
    await this.#model.dispose();
  }

  /** Stops or resumes giving rows to a request whose reader is behind; its sequence stays. */
  pause(id: string, paused: boolean): void {
    const lane = this.#lanes.get(id);
    if (lane === undefined) return;
    lane.paused = paused;
    if (!paused) this.#parts.scheduler.wake();
  }

  /** Runs one request to its `done` event, or quietly to its end when the signal is aborted. @throws EngineError */
  async run(request: GenerateRequest, emit: Emit, signal: AbortSignal): Promise<void> {
    const tokens = this.#tokenize(request.prompt);
    if (tokens.length === 0) throw new EngineError('BAD_PROMPT', 'the prompt has no tokens');
    const room = this.info.context - 1 - tokens.length;
    if (room < (request.maxTokens > 0 ? 1 : 0)) {
      throw new EngineError(
        'CONTEXT_EXCEEDED',
        `the prompt has ${tokens.length} tokens and the context of ${this.info.context} leaves no room for a completion`,
      );
    }
    const foreign = request.logitBias?.find(([token]) => token >= this.#vocabulary.size);
    if (foreign !== undefined)
      throw new EngineError(
        'BAD_LOGIT_BIAS',
        `logit_bias: token ${foreign[0]} is not in the vocabulary of ${this.#vocabulary.size}`,
      );
    const grammar =
      request.format === undefined ? undefined : this.#parts.native.grammarState(await this.#parts.grammars.get(request.format));
    if (signal.aborted) return;
    // The lowest idle id: llama.cpp batches consecutive sequence ids only.
    this.#idle.sort((a, b) => a - b);
    const sequence = this.#idle.shift();
    if (sequence === undefined) throw new EngineError('ENGINE_UNAVAILABLE', 'no sequence is free');
    if (request.trace !== 'off') this.#collector?.begin(sequence, request.trace);
    const run: Run = { request, sequence, tokens, maxTokens: Math.min(request.maxTokens, room), emit, signal };
    let done: EngineEvent | undefined;
    try {
      done = await this.#generate(run, grammar);
    } finally {
      this.#lanes.delete(request.id);
      this.#collector?.end(sequence);
      this.#idle.push(sequence);
    }
    // Last of all: whoever waits takes `done` for a free sequence.
    if (done !== undefined) emit(done);
  }

  /**
   * Refuses what cannot fit whatever its tokens are, by its length alone: the tokenizer would keep every other request waiting for a text
   * that is thrown away.
   */
  #refuseTooLong(texts: string[]): void {
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    const least = Math.ceil(bytes / this.#vocabulary.longest);
    if (least <= this.info.context) return;
    throw new EngineError(
      'CONTEXT_EXCEEDED',
      `the prompt has at least ${least} tokens and the context of ${this.info.context} leaves no room for a completion`,
    );
  }

  #tokenize(prompt: Prompt): number[] {
    const text = (value: string): number[] => this.#model.tokenize(value, false);
    const bos = this.#vocabulary.bos === undefined ? [] : [this.#vocabulary.bos];
    switch (prompt.kind) {
      case 'text':
        this.#refuseTooLong([prompt.text]);
        return [...bos, ...text(prompt.text)];
      case 'tokens': {
        const wrong = prompt.tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= this.#vocabulary.size);
        if (wrong !== undefined)
          throw new EngineError('BAD_PROMPT', `token ${wrong} is not in the vocabulary of ${this.#vocabulary.size}`);
        return prompt.tokens;
      }
      case 'chat':
        this.#refuseTooLong(prompt.messages.map(({ content }) => content));
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
  async #generate(run: Run, grammar: GrammarState | undefined): Promise<EngineEvent | undefined> {
    const { request, sequence, tokens, emit, signal } = run;
    const generation = new Generation(run, this.#vocabulary, grammar, (token) => this.#model.isEogToken(token as Token));
    const sampler = this.#parts.native.sampler();
    sampler.applyConfig(generation.samplerConfig());
    const lane: Lane = {
      sequence,
      priority: request.priority,
      sampler,
      tokens,
      scoreAll: request.echo,
      probabilities: generation.ownSampling,
      signal,
      paused: false,
      onRow: (index, distribution) => generation.scoreRow(index, distribution),
      next: (token, distribution) => generation.next(token, distribution),
    };
    this.#lanes.set(request.id, lane);
    if (!request.echo) emit({ type: 'prompt', tokens: tokens.length });
    try {
      await this.#parts.scheduler.run(lane);
    } catch (error) {
      throw new EngineError('ENGINE_DIED', `the decode failed: ${messageOf(error)}`);
    }
    if (signal.aborted) return undefined;
    const { finishReason, count } = generation.finish();
    const trace = this.#collector?.end(sequence);
    if (trace?.rows !== undefined) trace.text = traceText(this.#vocabulary, tokens, generation.generated);
    return {
      type: 'done',
      finishReason,
      promptTokens: tokens.length,
      completionTokens: count,
      ...(trace === undefined ? {} : { trace }),
    };
  }
}

type Tracer = { available: true; shim: Shim; collector: TraceCollector; gating: Gating } | { available: false; reason: string };

/** The tracing addon, ready for the model, or why it is not used. */
function tracer(records: number, shape: ModelShape): Tracer {
  const { gating } = shape;
  if (records === 0) return { available: false, reason: 'tracing is switched off' };
  if (!gating.known) return { available: false, reason: gating.reason };
  const loaded = loadShim();
  if (!loaded.available) return loaded;
  try {
    const collector = new TraceCollector(loaded.shim, { ...shape, gating: gating.gating }, records);
    return { available: true, shim: loaded.shim, collector, gating: gating.gating };
  } catch (error) {
    // A wider model than the addon has room for is served untraced.
    return { available: false, reason: messageOf(error) };
  }
}

/** Tokens of the self-test: of different kinds, as tokens far apart in a vocabulary are. */
function testTokens({ size, bos = 0 }: Vocabulary): number[] {
  return [bos, ...[0.2, 0.4, 0.6, 0.8].map((share) => Math.floor(size * share))];
}

/** A lane that samples nothing of interest. */
function testLane(native: Native, tokens: number[], next: Lane['next']): Lane {
  const sampler = native.sampler();
  sampler.applyConfig({ temperature: 0, minP: 0, topK: 0, topP: 1, seed: 0 });
  const signal = new AbortController().signal;
  return { sequence: 0, priority: 3, sampler, tokens, scoreAll: false, probabilities: false, signal, paused: false, next };
}

/**
 * The largest step a GPU will see, then one of a single row: kernels are compiled before anybody waits for them, and a driver that crashes
 * on them does so while the model loads, not with the first request.
 */
async function warmUp(scheduler: Scheduler, native: Native, rows: number, token: number): Promise<void> {
  let left = 1;
  await scheduler.run(testLane(native, new Array<number>(rows).fill(token), () => (left-- > 0 ? token : undefined)));
}
