// llama.cpp's context as node-llama-cpp's addon offers it, one step at a time. node-llama-cpp's own evaluation costs several promises, locks
// and generator turns a token, and its queue hands sequences over in the order of arrival, of which llama.cpp makes few and small
// micro-batches; bench/runtime/README.md has the figures. The addon is an internal of node-llama-cpp, whose version is pinned: what is
// used of it is checked here, and a version without it is refused by name.
import type { LlamaContext, LlamaGrammar, LlamaModel } from 'node-llama-cpp';

/** Settings of llama.cpp's sampler chain, by node-llama-cpp's names. */
export interface SamplerConfig {
  temperature: number;
  minP: number;
  topK: number;
  topP: number;
  seed: number;
  /** Tokens that count as seen at first; with it the penalties apply, to the last `repeatPenaltyMaxTokens` that were sampled. */
  repeatPenaltyTokens?: Uint32Array;
  repeatPenaltyMaxTokens?: number;
  /** llama.cpp's own, which divides logits; 1 is none. */
  repeatPenalty?: number;
  repeatPenaltyFrequencyPenalty?: number;
  repeatPenaltyPresencePenalty?: number;
  tokenBiasKeys?: Uint32Array;
  tokenBiasValues?: Float32Array;
  grammarEvaluationState?: object;
}

/** A native sampler chain; one per generation, as it holds the random state. */
export interface NativeSampler {
  applyConfig(config: SamplerConfig): void;
  dispose(): void;
}

/** The addon's context: a batch is begun, filled, decoded, and rows that asked for logits are sampled. */
export interface NativeContext {
  initBatch(rows: number): void;
  /** Adds consecutive tokens of one sequence from `position` on; returns the logit index of each row in `logitRows`. */
  addToBatch(sequence: number, position: number, tokens: Uint32Array, logitRows: Uint32Array): ArrayLike<number>;
  decodeBatch(): Promise<void>;
  sampleToken(logit: number, sampler: NativeSampler): Promise<number>;
  /** With `probabilities`: [token, [token, probability, ...] most likely first]. */
  sampleToken(
    logit: number,
    sampler: NativeSampler,
    probabilities: true,
    confidence: false,
  ): Promise<[number, number[] | undefined, undefined]>;
  disposeSequence(sequence: number): void;
  setThreads(threads: number): void;
}

/** How far a generation has got in a grammar. */
export interface GrammarState {
  native: object;
  /** Whether the grammar allows `token` next; does not advance. */
  allows(token: number): boolean;
  accept(token: number): void;
}

/** The native side of a loaded model. */
export interface Native {
  context: NativeContext;
  sampler(): NativeSampler;
  grammarState(grammar: LlamaGrammar): GrammarState;
}

interface SamplerClass {
  new (model: object): NativeSampler;
  canBeNextTokenForGrammarEvaluationState(state: object, token: number): boolean;
  acceptGrammarEvaluationStateToken(state: object, token: number): void;
}

interface Internals {
  context: { _ctx?: Partial<NativeContext> };
  model: {
    _model?: object;
    _llama?: {
      _bindings?: {
        AddonSampler?: SamplerClass;
        AddonGrammarEvaluationState?: new (model: object, grammar: object) => object;
      };
    };
  };
}

const CONTEXT_FUNCTIONS = ['initBatch', 'addToBatch', 'decodeBatch', 'sampleToken', 'disposeSequence', 'setThreads'] as const;

/** The native side of a model and its context. @throws Error when this node-llama-cpp is not built as the pinned version is */
export function nativeOf(model: LlamaModel, context: LlamaContext): Native {
  const inner = { context, model } as unknown as Internals;
  const native = inner.context._ctx;
  const nativeModel = inner.model._model;
  const bindings = inner.model._llama?._bindings;
  const Sampler = bindings?.AddonSampler;
  const State = bindings?.AddonGrammarEvaluationState;
  const missing = CONTEXT_FUNCTIONS.find((name) => typeof native?.[name] !== 'function');
  if (missing !== undefined || nativeModel === undefined || Sampler === undefined || State === undefined)
    throw new Error(
      `this node-llama-cpp has no ${missing ?? 'native sampler'} where the pinned version has it; install the version of reference-runtime/package-lock.json`,
    );
  return {
    context: native as NativeContext,
    sampler: () => new Sampler(nativeModel),
    grammarState(grammar) {
      const state = new State(nativeModel, (grammar as unknown as { _grammar: object })._grammar);
      return {
        native: state,
        allows: (token) => Sampler.canBeNextTokenForGrammarEvaluationState(state, token),
        accept: (token) => Sampler.acceptGrammarEvaluationStateToken(state, token),
      };
    },
  };
}
