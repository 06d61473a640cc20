import * as sdk from '@open-policy-agent/opa-wasm';
import { InternalError } from '../core/errors.ts';
import { DEFAULT_MAX_PAGES, evaluateText, isLoadedPolicy, type LoadedPolicy, thrownText, wantedBuiltins } from './wasm-eval.ts';

/** The SDK's own type declarations leave out its default export, which has the synchronous loader. */
const { loadPolicySync } = (sdk as unknown as { default: Sdk }).default;

interface Sdk {
  loadPolicySync(
    module: WebAssembly.Module,
    memory: { initial: number; maximum: number },
    builtins: Record<string, (...args: never[]) => unknown>,
  ): unknown;
}

/** Time that policies see: 2026-01-01T00:00:00Z, the same in every evaluation, so that results can be compared. */
export const PINNED_CLOCK_NS = 1_767_225_600_000_000_000;

export interface EvaluationFailure {
  readonly kind: 'conflict' | 'memory' | 'stack' | 'builtin' | 'time' | 'trap' | 'input';
  readonly message: string;
  /** `file.rego:row:col` of OPA's message, when it gave one. */
  readonly place?: string;
}

/** Whether an evaluation was stopped by a limit: what it would have decided is unknown. */
export function isLimit(failure: EvaluationFailure): boolean {
  return failure.kind === 'time' || failure.kind === 'memory' || failure.kind === 'stack';
}

/** What one evaluation gave, compact enough to cross threads: a JSON text, nothing, or a failure. */
export type Outcome = { readonly value: string } | { readonly undefined: true } | { readonly failure: EvaluationFailure };

export interface Hooks {
  /** Whether a definition takes part; see instrument.ts. */
  on(id: string): boolean;
  fired(id: string, value: unknown): void;
}

export interface InstanceOptions {
  readonly data: string;
  readonly clockNs?: number;
  readonly maxPages?: number;
  readonly hooks?: Hooks;
}

/**
 * One instance of a policy module. Not re-entrant and without a time limit: run it in a worker (pool.ts) when the
 * policy is not trusted. Every failure comes back as a value; nothing the SDK throws (strings, plain objects) gets out.
 */
export class PolicyInstance {
  readonly #module: WebAssembly.Module;
  readonly #pages: number;
  readonly #options: InstanceOptions;
  #policy: LoadedPolicy;

  /** @param pages memory minimum of the module, from `memoryMinimum`. @throws PolicyLoadError */
  constructor(module: WebAssembly.Module, pages: number, options: InstanceOptions) {
    this.#module = module;
    this.#pages = pages;
    this.#options = options;
    this.#policy = this.#load();
  }

  get entrypoints(): { readonly [name: string]: number } {
    return this.#policy.entrypoints;
  }

  /** Names of the builtins that the module asks its host for. */
  get builtins(): readonly string[] {
    return wantedBuiltins(this.#policy);
  }

  /**
   * Evaluates on a JSON text. Falsy inputs (`null`, `0`, `false`, `""`) are inputs here; the SDK's own evaluate takes
   * them for none.
   */
  evaluate(entrypoint: number, input: Uint8Array): Outcome {
    const policy = this.#policy;
    try {
      const text = evaluateText(policy, entrypoint, input);
      // The result set is `[]` or `[{"result":X}]`.
      return text === '[]' ? { undefined: true } : { value: text.slice(11, -2) };
    } catch (error) {
      const failure = describeFailure(error);
      // A trap can leave the module's heap half-written.
      if (failure.kind !== 'conflict') this.#policy = this.#load();
      return { failure };
    }
  }

  #load(): LoadedPolicy {
    const { data, clockNs = PINNED_CLOCK_NS, maxPages = DEFAULT_MAX_PAGES, hooks } = this.#options;
    const builtins: Record<string, (...args: never[]) => unknown> = {
      'time.now_ns': () => clockNs,
      'mixgate.on': (id: string) => hooks?.on(id) ?? true,
      'mixgate.fired': (id: string, value: unknown) => {
        hooks?.fired(id, value);
        return true;
      },
    };
    const bytes = new TextEncoder().encode(data);
    // The SDK's default of 5 pages is too small for most modules; room for the data avoids growing in steps.
    const initial = Math.min(maxPages, Math.max(this.#pages, 5) + 2);
    try {
      const policy = loadPolicySync(this.#module, { initial, maximum: maxPages }, builtins) as object;
      if (!isLoadedPolicy(policy)) throw new InternalError('the WASM host library changed its shape.');
      policy.setData(bytes.buffer as ArrayBuffer);
      return policy;
    } catch (error) {
      if (error instanceof InternalError) throw error;
      throw new PolicyLoadError(describeFailure(error));
    }
  }
}

/** The module or its data could not be loaded. */
export class PolicyLoadError extends Error {
  readonly failure: EvaluationFailure;
  constructor(failure: EvaluationFailure) {
    super(failure.message);
    this.name = 'PolicyLoadError';
    this.failure = failure;
  }
}

/** The SDK throws strings, plain objects and errors; V8 throws RangeError and RuntimeError. */
export function describeFailure(error: unknown): EvaluationFailure {
  const message = thrownText(error);
  const place = /^(?<place>[^\s:]+\.rego:\d+:\d+): (?<rest>[\s\S]*)$/.exec(message);
  if (place !== null) {
    const text = place.groups!['rest']!;
    return {
      kind: text.includes('conflict') ? 'conflict' : 'trap',
      message: text,
      place: place.groups!['place']!.replace(/^\/+/, ''),
    };
  }
  if (message.includes('not implemented: built-in function'))
    return {
      kind: 'builtin',
      message: message.replace(/^.*?: \d+: |not implemented: built-in function \d+: /, 'no host function for '),
    };
  if (
    /opa_malloc: failed|Memory\.grow|failed to grow|out of memory|data segment is out of bounds|larger than maximum|Invalid typed array length|offset is out of bounds/i.test(
      message,
    )
  )
    return { kind: 'memory', message: 'the memory limit was reached' };
  if (error instanceof RangeError || /call stack/i.test(message)) return { kind: 'stack', message: 'the call stack ran over' };
  if (/failed to parse json|json parse|illegal (?:value|data)|opa_eval: invalid input|input/i.test(message))
    return { kind: 'input', message };
  return { kind: 'trap', message: message.slice(0, 500) };
}

/** Compiles a module off the main thread. @throws CompileError of the engine for bytes that are no module */
export function compileModule(bytes: Uint8Array): Promise<WebAssembly.Module> {
  return (
    globalThis as unknown as { WebAssembly: { compile(bytes: Uint8Array): Promise<WebAssembly.Module> } }
  ).WebAssembly.compile(bytes);
}
