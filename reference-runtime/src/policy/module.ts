// A policy's WebAssembly with the hosts' builtins, memory and clock. What the module leaves behind after a trap is thrown away.
import * as sdk from '@open-policy-agent/opa-wasm';
import {
  DEFAULT_MAX_PAGES,
  evaluateText,
  HOST_BUILTINS,
  isLoadedPolicy,
  type LoadedPolicy,
  SDK_BUILTINS,
  thrownText,
  wantedBuiltins,
} from '../../../src/policy/wasm-eval.ts';
import { memoryMinimum } from '../../../src/policy/wasm-memory.ts';
import { BundleError } from './bundle-error.ts';

/** The SDK's own type declarations leave out its default export, which has the synchronous loader. */
const { loadPolicySync } = (sdk as unknown as { default: Sdk }).default;

interface Sdk {
  loadPolicySync(
    module: object,
    memory: { initial: number; maximum: number },
    builtins: Record<string, (...args: never[]) => unknown>,
  ): object;
}

/** Node has it, its type declarations do not. */
const { WebAssembly } = globalThis as unknown as { WebAssembly: { compile(bytes: Uint8Array): Promise<object> } };

/** Pages of memory for a module that asks for fewer: the SDK's own default. */
const MIN_PAGES = 5;

/** A policy that could not answer: its evaluation failed, or what it said is no decision. The request must not pass. */
export class PolicyError extends Error {
  /** What it said, where that is no decision. */
  readonly result: unknown;
  constructor(message: string, result?: unknown) {
    super(message);
    this.result = result;
  }
}

/** What an evaluation gave. */
export interface Evaluated {
  /** `[]` or `[{"result": X}]`, as JSON text. */
  results: string;
  /** The time that the policy was told; undefined when it did not ask. */
  clockNs: number | undefined;
}

/** One policy, instantiated with its data. Not re-entrant. */
export class PolicyModule {
  readonly #module: object;
  readonly #pages: number;
  readonly #data: Uint8Array;
  #policy: LoadedPolicy;
  #clockNs: number | undefined;

  private constructor(module: object, pages: number, data: Uint8Array) {
    this.#module = module;
    this.#pages = pages;
    this.#data = data;
    this.#policy = this.#load();
    const missing = wantedBuiltins(this.#policy).filter((name) => !SDK_BUILTINS.has(name) && !HOST_BUILTINS.has(name));
    // It would fail where it is reached, which may be for one request in a thousand.
    if (missing.length > 0)
      throw new Error(
        `it calls ${missing.join(', ')}, which only OPA itself has; if only its tests do, leave them out: opa build --ignore '*_test.rego'`,
      );
  }

  /** @throws BundleError when it cannot be instantiated, or needs a builtin that is not here */
  static async from(wasm: Uint8Array, data: unknown, source: string): Promise<PolicyModule> {
    try {
      // The SDK doesn't ask the module how much its constants take.
      const pages = Math.max(MIN_PAGES, memoryMinimum(wasm));
      return new PolicyModule(await WebAssembly.compile(wasm), pages, new TextEncoder().encode(JSON.stringify(data)));
    } catch (error) {
      throw new BundleError(`${source}: the policy cannot be instantiated: ${thrownText(error)}`);
    }
  }

  get entrypoints(): Readonly<Record<string, number>> {
    return this.#policy.entrypoints;
  }

  /** @throws PolicyError */
  evaluate(entrypoint: number, input: Uint8Array): Evaluated {
    this.#clockNs = undefined;
    try {
      return { results: evaluateText(this.#policy, entrypoint, input), clockNs: this.#clockNs };
    } catch (error) {
      const why = thrownText(error);
      // A trap can leave the module's heap half-written, and memory that ran out stays taken. A conflict is an answer.
      if (!why.includes('conflict')) this.#policy = this.#load();
      throw new PolicyError(`policy evaluation failed: ${why}`);
    }
  }

  #load(): LoadedPolicy {
    const memory = { initial: this.#pages, maximum: Math.max(this.#pages, DEFAULT_MAX_PAGES) };
    // One evaluation sees one time, as in OPA.
    const now = (): number => (this.#clockNs ??= Date.now() * 1e6);
    const policy = loadPolicySync(this.#module, memory, { 'time.now_ns': now });
    if (!isLoadedPolicy(policy)) throw new Error('it exports no opa_eval (ABI 1.2): compile it with a newer OPA');
    policy.setData(this.#data.slice().buffer as ArrayBuffer);
    return policy;
  }
}
