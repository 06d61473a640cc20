// The active routing policy: a WASM bundle evaluated in process, synchronously, in microseconds.
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import { Ajv2020 } from 'ajv/dist/2020.js';
import schema from '../../../schemas/routing-decision.schema.json' with { type: 'json' };
import { evaluateText, isLoadedPolicy, type LoadedPolicy } from '../../../src/policy/wasm-eval.ts';
import { memoryMinimum } from '../../../src/policy/wasm-memory.ts';
import { type Bundle, BundleError } from './bundle.ts';

/** What a policy may point a request at. */
export interface Target {
  cluster: string;
  pool: string;
  model: string;
  version: string;
}

/** One arm of a split; its share is its weight over the sum of weights. */
export interface Arm {
  id: string;
  weight: number;
  target: Target;
}

/** Traffic shared between arms. Requests with the same `key` stay on one arm while the weights stay. */
export interface Split {
  id: string;
  key: string;
  arms: Arm[];
}

/** A pool that a share (0 to 1) of requests is copied to. */
export interface ShadowTarget {
  target: Target;
  share: number;
}

/** A decision of the routing policy (schemas/routing-decision.schema.json; DESIGN: Contracts). Fields the policy left out are absent. */
export interface Decision {
  allow: boolean;
  target?: Target;
  fallbacks?: Target[];
  split?: Split;
  shadow?: ShadowTarget;
  priority?: number | string;
  quota?: unknown;
  trace?: unknown;
  /** Seconds for which the model stays loaded after this request, where it would be unloaded when idle. */
  keep_warm?: number;
  rule?: string;
  reasons?: string[];
}

/** What the policy is asked. A field that is undefined is absent: JSON leaves it out. */
export interface PolicyInput {
  request: {
    id: string;
    tenant: string;
    workload_identity: string;
    data_class?: string | undefined;
    origin_region?: string | undefined;
    model: string;
    task?: string | undefined;
    priority?: string | undefined;
    /** The end user, as the body's `user` names one, and the conversation: what a split may stick to. */
    user?: string | undefined;
    session?: string | undefined;
    tokens: number;
  };
  fleet: { clusters: unknown[]; pools: unknown[] };
  slo: { burn_rate: number; budget_left: number };
  flags: Record<string, boolean | string | number>;
}

/** A policy that could not answer: its evaluation failed, or what it said is no decision. The request must not pass. */
export class PolicyError extends Error {}

const encoder = new TextEncoder();
const validate = new Ajv2020({ strict: false }).compile<Decision>(schema);

/** Pages of memory for a module that asks for fewer: the SDK's own default. */
const MIN_PAGES = 5;

const SELF_TEST: PolicyInput = {
  request: { id: 'self-test', tenant: 'self-test', workload_identity: 'self-test', model: 'self-test', tokens: 1 },
  fleet: { clusters: [], pools: [] },
  slo: { burn_rate: 0, budget_left: 1 },
  flags: {},
};

/** One loaded bundle. */
export interface ActivePolicy {
  bundle: Bundle;
  activatedAt: string;
  /** @throws PolicyError; undefined when the policy has no answer */
  decide(input: PolicyInput): Decision | undefined;
}

/** Compiles and self-tests a bundle. @throws BundleError when it has no such entrypoint or cannot be instantiated */
export async function activate(bundle: Bundle, entrypoint: string, now: Date): Promise<ActivePolicy> {
  let compiled: LoadedPolicy;
  try {
    // The SDK doesn't ask the module how much its constants take.
    const initial = Math.max(MIN_PAGES, memoryMinimum(bundle.wasm));
    const policy: object = await loadPolicy(bundle.wasm as unknown as ArrayBuffer, { initial });
    if (!isLoadedPolicy(policy)) throw new Error('it exports no opa_eval (ABI 1.2): compile it with a newer OPA');
    compiled = policy;
    compiled.setData(encoder.encode(JSON.stringify(bundle.data)).buffer as ArrayBuffer);
  } catch (error) {
    throw new BundleError(
      `${bundle.source}: the policy cannot be instantiated: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const id = Object.hasOwn(compiled.entrypoints, entrypoint) ? compiled.entrypoints[entrypoint] : undefined;
  if (id === undefined) {
    throw new BundleError(
      `${bundle.source}: no entrypoint ${entrypoint}; the bundle has: ${Object.keys(compiled.entrypoints).join(', ') || 'none'}`,
    );
  }
  const active: ActivePolicy = {
    bundle,
    activatedAt: now.toISOString(),
    decide(input) {
      let results: Array<{ result: unknown }>;
      try {
        results = JSON.parse(evaluateText(compiled, id, encoder.encode(JSON.stringify(input)))) as Array<{ result: unknown }>;
      } catch (error) {
        throw new PolicyError(`policy evaluation failed: ${error instanceof Error ? error.message : String(error)}`);
      }
      const [first] = results;
      if (first === undefined) return undefined;
      if (!validate(first.result)) {
        const problem = validate.errors?.[0];
        throw new PolicyError(`the policy's decision is malformed: ${problem?.instancePath ?? ''} ${problem?.message ?? ''}`);
      }
      // A field of null says the same as one that is absent.
      const decision = first.result;
      if (!Object.values(decision).includes(null)) return decision;
      return Object.fromEntries(Object.entries(decision).filter(([, value]) => value !== null)) as unknown as Decision;
    },
  };
  try {
    // Any decision will do: what must not happen is that the policy cannot be evaluated here at all (a builtin that only OPA itself has).
    active.decide(SELF_TEST);
  } catch (error) {
    throw new BundleError(`${bundle.source}: self-test: ${error instanceof Error ? error.message : String(error)}`);
  }
  return active;
}
