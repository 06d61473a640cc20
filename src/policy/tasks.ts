import { canonicalJson } from '../core/json.ts';
import type { Program } from './compile.ts';
import { type Domain, digitsOf, distance } from './domain.ts';
import { PointEncoder } from './encode.ts';
import { type EvaluationFailure, isLimit, type Outcome, PolicyInstance } from './wasm.ts';

/** The part of a domain that a worker needs. */
export type TaskDomain = Pick<Domain, 'base' | 'dimensions' | 'digest'>;

export type Task =
  | { readonly kind: 'outcomes'; readonly program: number; readonly entrypoint: string; readonly inputs: readonly string[] }
  | {
      readonly kind: 'prove';
      readonly program: number;
      readonly entrypoint: string;
      readonly domain: TaskDomain;
      readonly from: number;
      readonly to: number;
      readonly digits?: readonly (readonly number[])[];
    }
  | {
      readonly kind: 'trace';
      readonly program: number;
      readonly entrypoint: string;
      readonly items: readonly TraceItem[];
      readonly values: boolean;
    }
  | {
      readonly kind: 'bench';
      readonly program: number;
      readonly entrypoint: string;
      readonly inputs: readonly string[];
      readonly rounds: number;
    };

export interface TraceItem {
  readonly input: string;
  /** Definition that is switched off for this evaluation. */
  readonly off?: string;
}
export interface Trace {
  readonly outcome: Outcome;
  /** Definitions whose body held (none are listed when one was switched off), in order of first firing, each with its first value (canonical JSON, cut at 4 KiB). */
  readonly fired: readonly (readonly [id: string, value: string])[];
}

export interface ProveResult {
  readonly evaluated: number;
  /** Points that `where` leaves out. */
  readonly excluded: number;
  readonly violations: readonly Violation[];
  readonly failures: number;
  readonly failure?: { readonly digits: readonly number[]; readonly failure: EvaluationFailure };
}
/** Points that break one invariant in one way, with the point nearest to the base input. */
export interface Violation {
  readonly invariant: string;
  readonly message: string;
  readonly count: number;
  readonly digits: readonly number[];
  readonly distance: number;
}

export interface TaskResults {
  outcomes: readonly Outcome[];
  prove: ProveResult;
  trace: readonly Trace[];
  /** Microseconds, one per evaluation, in order. */
  bench: Float64Array;
}

/** Evaluations of one task that may run into the memory or the stack limit: each costs as much as thousands of sound ones. */
const MAX_LIMITS = 3;
const MAX_MESSAGES = 200;
const MAX_VALUE = 4096;
const encoder = new TextEncoder();

/** An evaluation ran over its time limit and its worker was stopped, or several of one task ran over their memory. */
export class EvaluationLimit extends Error {
  /** Place of the evaluation in its task; -1 when loading the policy took too long. */
  readonly item: number;
  readonly failure: EvaluationFailure;
  constructor(item: number, failure: EvaluationFailure) {
    super(failure.message);
    this.name = 'EvaluationLimit';
    this.item = item;
    this.failure = failure;
  }
}

/** Runs tasks on the programs it was given; the body of a worker, without the messaging. */
export class TaskRunner {
  readonly #programs = new Map<number, Program>();
  readonly #instances = new Map<number, PolicyInstance>();
  readonly #encoders = new Map<string, PointEncoder>();
  readonly #maxPages: number;
  /** Called before each evaluation with its place in the task: what the watchdog looks at. */
  readonly #beat: (item: number) => void;
  #limits = 0;
  #off: string | undefined;
  #fired: Map<string, string> | undefined;
  #values = false;

  constructor(maxPages: number, beat: (item: number) => void) {
    this.#maxPages = maxPages;
    this.#beat = beat;
  }

  add(id: number, program: Program): void {
    this.#programs.set(id, program);
  }

  run(task: Task): TaskResults[Task['kind']] {
    this.#beat(-1);
    const instance = this.#instance(task.program);
    const entrypoint = instance.entrypoints[task.entrypoint];
    if (entrypoint === undefined) throw new Error(`no entrypoint ${task.entrypoint}`);
    this.#limits = 0;
    this.#off = undefined;
    this.#fired = undefined;
    switch (task.kind) {
      case 'outcomes':
        return task.inputs.map((input, item) => this.#evaluate(instance, entrypoint, encoder.encode(input), item));
      case 'prove':
        return this.#prove(instance, entrypoint, task);
      case 'trace':
        return task.items.map((item, index) => this.#trace(instance, entrypoint, item, index, task.values));
      case 'bench':
        return this.#bench(instance, entrypoint, task.inputs, task.rounds);
    }
  }

  #instance(id: number): PolicyInstance {
    const known = this.#instances.get(id);
    if (known !== undefined) return known;
    const program = this.#programs.get(id)!;
    const instance = new PolicyInstance(program.module, program.pages, {
      data: program.data,
      maxPages: this.#maxPages,
      ...(program.hooked
        ? {
            hooks: {
              on: (definition: string) => definition !== this.#off,
              fired: (definition: string, value: unknown) => {
                if (this.#fired === undefined || this.#fired.has(definition)) return;
                this.#fired.set(definition, this.#values ? canonicalJson(value).slice(0, MAX_VALUE) : '');
              },
            },
          }
        : {}),
    });
    this.#instances.set(id, instance);
    return instance;
  }

  /** @throws EvaluationLimit */
  #evaluate(instance: PolicyInstance, entrypoint: number, input: Uint8Array, item: number): Outcome {
    this.#beat(item);
    const outcome = instance.evaluate(entrypoint, input);
    if ('failure' in outcome && isLimit(outcome.failure)) {
      this.#limits += 1;
      if (this.#limits > MAX_LIMITS) throw new EvaluationLimit(item, outcome.failure);
    }
    return outcome;
  }

  #trace(instance: PolicyInstance, entrypoint: number, item: TraceItem, index: number, values: boolean): Trace {
    this.#off = item.off;
    // Of an evaluation without some definition only the outcome is asked.
    this.#fired = item.off === undefined ? new Map() : undefined;
    this.#values = values;
    const outcome = this.#evaluate(instance, entrypoint, encoder.encode(item.input), index);
    return { outcome, fired: [...(this.#fired ?? [])] };
  }

  #bench(instance: PolicyInstance, entrypoint: number, inputs: readonly string[], rounds: number): Float64Array {
    const encoded = inputs.map((input) => encoder.encode(input));
    const times = new Float64Array(rounds);
    // Warm-up: the first calls run in the baseline compiler.
    for (let i = 0; i < Math.min(2000, rounds); i += 1) {
      this.#beat(i);
      instance.evaluate(entrypoint, encoded[i % encoded.length]!);
    }
    for (let i = 0; i < rounds; i += 1) {
      this.#beat(i);
      const start = performance.now();
      instance.evaluate(entrypoint, encoded[i % encoded.length]!);
      times[i] = (performance.now() - start) * 1000;
    }
    return times;
  }

  #prove(instance: PolicyInstance, entrypoint: number, task: Extract<Task, { kind: 'prove' }>): ProveResult {
    const { domain } = task;
    const points = this.#encoders.get(domain.digest) ?? new PointEncoder(domain);
    this.#encoders.set(domain.digest, points);
    const violations = new Map<
      string,
      { invariant: string; message: string; count: number; digits: number[]; distance: number }
    >();
    let excluded = 0;
    let failures = 0;
    let failure: ProveResult['failure'];
    const count = task.digits?.length ?? task.to - task.from;
    const digits = task.digits === undefined ? digitsOf(domain, task.from) : [];
    for (let item = 0; item < count; item += 1) {
      const here = task.digits?.[item] ?? digits;
      const outcome = this.#evaluate(instance, entrypoint, points.encode(here), item);
      if ('value' in outcome) {
        if (outcome.value === 'false') excluded += 1;
        else if (outcome.value !== '{}') {
          const far = distance(domain, here);
          for (const [invariant, messages] of Object.entries(JSON.parse(outcome.value) as Record<string, unknown[]>)) {
            for (const raw of messages) {
              const message = messageOf(raw);
              const key = `${invariant}\0${message}`;
              const known = violations.get(key);
              if (known === undefined) {
                if (violations.size < MAX_MESSAGES)
                  violations.set(key, { invariant, message, count: 1, digits: [...here], distance: far });
              } else {
                known.count += 1;
                if (far < known.distance) Object.assign(known, { digits: [...here], distance: far });
              }
            }
          }
        }
      } else if ('failure' in outcome) {
        failures += 1;
        failure ??= { digits: [...here], failure: outcome.failure };
      }
      if (task.digits === undefined) advance(domain, digits);
    }
    return {
      evaluated: count,
      excluded,
      violations: [...violations.values()],
      failures,
      ...(failure === undefined ? {} : { failure }),
    };
  }
}

function messageOf(raw: unknown): string {
  if (typeof raw === 'string') return raw.slice(0, 500);
  const text =
    typeof raw === 'object' && raw !== null && 'msg' in raw && typeof raw.msg === 'string' ? raw.msg : canonicalJson(raw);
  return text.slice(0, 500);
}

function advance(domain: TaskDomain, digits: number[]): void {
  for (let d = digits.length - 1; d >= 0; d -= 1) {
    digits[d]! += 1;
    if (digits[d]! < domain.dimensions[d]!.choices.length) return;
    digits[d] = 0;
  }
}
