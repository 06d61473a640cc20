// What one generation does with its samples: text, stop sequences, log probabilities, grammar. No clock, no native code of its own.
import { mulberry32, type Uniform } from '../gguf/random.ts';
import { GRAMMAR_END } from './grammar.ts';
import type { GrammarState, SamplerConfig } from './native-context.ts';
import { logProbability, pick, shifted, shiftsOf } from './sampling.ts';
import type { Distribution } from './scheduler.ts';
import { TextStream } from './text-stream.ts';
import type { EngineEvent, FinishReason, GenerateRequest, TokenScore } from './types.ts';
import type { Vocabulary } from './vocabulary.ts';

/** A request with what the engine made of it. */
export interface Run {
  request: GenerateRequest;
  sequence: number;
  tokens: number[];
  maxTokens: number;
  emit: (event: EngineEvent) => void;
  signal: AbortSignal;
}

/** Seeds of llama.cpp are 32 bits, the highest value meaning random. */
const SEEDS = 2 ** 32 - 1;

/** A request's seed, of up to 64 bits and either sign, as one of llama.cpp's. */
function seedOf(seed: number): number {
  return ((seed % SEEDS) + SEEDS) % SEEDS;
}

/** OpenAI's penalties are llama.cpp's; they count what is sampled from here on, all of it. */
function penalties(request: GenerateRequest, maxTokens: number): Partial<SamplerConfig> {
  const { frequencyPenalty = 0, presencePenalty = 0 } = request;
  if (frequencyPenalty === 0 && presencePenalty === 0) return {};
  return {
    repeatPenaltyTokens: new Uint32Array(),
    repeatPenaltyMaxTokens: Math.max(1, maxTokens),
    repeatPenalty: 1,
    repeatPenaltyFrequencyPenalty: frequencyPenalty,
    repeatPenaltyPresencePenalty: presencePenalty,
  };
}

function biases({ logitBias = [] }: GenerateRequest): Partial<SamplerConfig> {
  if (logitBias.length === 0) return {};
  return {
    tokenBiasKeys: Uint32Array.from(logitBias, ([token]) => token),
    tokenBiasValues: Float32Array.from(logitBias, ([, bias]) => bias),
  };
}

/** One generation from its prompt to its end. */
export class Generation {
  /** Log probabilities are the model's own, so that tokens are then drawn here from the whole distribution. */
  readonly ownSampling: boolean;
  readonly #run: Run;
  readonly #vocabulary: Vocabulary;
  readonly #grammar: GrammarState | undefined;
  readonly #isEnd: (token: number) => boolean;
  readonly #stream: TextStream;
  readonly #seed: number;
  readonly #uniform: Uniform;
  readonly #scores: TokenScore[] = [];
  readonly #counts = new Map<number, number>();
  /** The tokens that were generated, in order; one that ends the text is not among them. */
  readonly generated: number[] = [];
  #stopped = false;

  constructor(run: Run, vocabulary: Vocabulary, grammar: GrammarState | undefined, isEnd: (token: number) => boolean) {
    this.#run = run;
    this.#vocabulary = vocabulary;
    this.#grammar = grammar;
    this.#isEnd = isEnd;
    this.ownSampling = run.request.logprobs !== undefined || run.request.echo;
    this.#stream = new TextStream(grammar === undefined ? run.request.stop : [...run.request.stop, GRAMMAR_END]);
    this.#seed = seedOf(run.request.seed ?? Math.floor(Math.random() * SEEDS));
    this.#uniform = mulberry32(this.#seed);
    if (run.request.echo) this.#scores.push(this.#score(run.tokens[0] as number, undefined, 0));
  }

  /** How llama.cpp samples. With own sampling it only hands over the distribution, and the grammar is applied here. */
  samplerConfig(): SamplerConfig {
    const { request } = this.#run;
    if (this.ownSampling) return { temperature: 0, minP: 0, topK: 0, topP: 1, seed: 0 };
    return {
      temperature: request.temperature,
      minP: request.minP ?? 0,
      topK: request.topK ?? 0,
      topP: request.topP,
      seed: this.#seed,
      ...penalties(request, this.#run.maxTokens),
      ...biases(request),
      ...(this.#grammar === undefined ? {} : { grammarEvaluationState: this.#grammar.native }),
    };
  }

  /** A row of a scored prompt: the distribution after token `index`. */
  scoreRow(index: number, distribution: Distribution | undefined): void {
    const next = this.#run.tokens[index + 1];
    if (next !== undefined) this.#scores[index + 1] = this.#score(next, distribution, this.#run.request.logprobs ?? 0);
  }

  /** Takes a sample; returns the token to evaluate next, undefined at the end. */
  next(sampled: number, distribution: Distribution | undefined): number | undefined {
    const { request, emit, maxTokens } = this.#run;
    if (request.echo && this.generated.length === 0)
      emit({ type: 'prompt', tokens: this.#run.tokens.length, scores: this.#scores });
    if (maxTokens === 0) return undefined;
    const token = distribution === undefined || !this.ownSampling ? sampled : this.#pick(distribution);
    if (this.#isEnd(token)) {
      this.#stopped = true;
      return undefined;
    }
    this.generated.push(token);
    if (this.ownSampling) this.#counts.set(token, (this.#counts.get(token) ?? 0) + 1);
    const emitted = this.#stream.push(this.#vocabulary.bytes(token));
    this.#stopped = emitted.stopped;
    emit({
      type: 'token',
      text: emitted.text,
      ...(request.logprobs === undefined ? {} : { score: this.#score(token, distribution, request.logprobs) }),
    });
    return this.#stopped || this.generated.length >= maxTokens ? undefined : token;
  }

  /** Ends the text: emits what was held back. */
  finish(): { finishReason: FinishReason; count: number } {
    const rest = this.#stream.finish();
    // A grammar's closing line feeds that max_tokens cut short are no part of the text.
    const text = this.#grammar === undefined ? rest.text : rest.text.replace(/\n+$/, '');
    if (text !== '') this.#run.emit({ type: 'token', text, tail: true });
    return { finishReason: this.#stopped || rest.stopped ? 'stop' : 'length', count: this.generated.length };
  }

  #pick(given: Distribution): number {
    const { request } = this.#run;
    const { temperature, topP } = request;
    const distribution = shifted(given, shiftsOf(request, this.#counts));
    const grammar = this.#grammar;
    if (grammar === undefined) return pick(distribution, temperature, topP, this.#uniform, request);
    const allowed: Distribution = new Map();
    for (const [token, probability] of distribution) {
      if (!grammar.allows(token)) continue;
      allowed.set(token, probability);
      if (temperature <= 0) break;
    }
    const token = pick(allowed, temperature, topP, this.#uniform, request);
    if (!this.#isEnd(token)) grammar.accept(token);
    return token;
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
}
