// The active routing policy: a WASM bundle evaluated in process, synchronously, in microseconds.
import { Ajv2020 } from 'ajv/dist/2020.js';
import schema from '../../../schemas/routing-decision.schema.json' with { type: 'json' };
import { messageOf } from '../../../src/core/errors.ts';
import { type Bundle, BundleError } from './bundle.ts';
import { PolicyError, PolicyModule } from './module.ts';

export { PolicyError };

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
    /** What not every pool serves of it (config/capabilities.ts); a pool that does not has it in `cannot_serve`. */
    requires?: string[];
  };
  fleet: { clusters: unknown[]; pools: unknown[] };
  slo: { burn_rate: number; budget_left: number };
  flags: Record<string, boolean | string | number>;
}

const encoder = new TextEncoder();
const validate = new Ajv2020({ strict: false }).compile<Decision>(schema);

const SELF_TEST: PolicyInput = {
  request: { id: 'self-test', tenant: 'self-test', workload_identity: 'self-test', model: 'self-test', tokens: 1 },
  fleet: { clusters: [], pools: [] },
  slo: { burn_rate: 0, budget_left: 1 },
  flags: {},
};

/** What the policy answered: its result as it said it, and what of that is used. */
export interface Answer {
  /** Undefined when the policy has no answer. */
  decision: Decision | undefined;
  /** As the decision log has it, fields of null included. */
  result: unknown;
  /** The time that the policy was told, in nanoseconds since the epoch; undefined when it did not ask. */
  clockNs: number | undefined;
}

/** One loaded bundle. */
export interface ActivePolicy {
  bundle: Bundle;
  activatedAt: string;
  /** @throws PolicyError */
  answer(input: PolicyInput): Answer;
  /** The decision alone. @throws PolicyError; undefined when the policy has no answer */
  decide(input: PolicyInput): Decision | undefined;
}

/** What the policy said as a decision: a field of null says the same as one that is absent. @throws PolicyError */
function decisionOf(result: unknown): Decision {
  if (!validate(result)) {
    const problem = validate.errors?.[0];
    throw new PolicyError(`the policy's decision is malformed: ${problem?.instancePath ?? ''} ${problem?.message ?? ''}`, result);
  }
  if (!Object.values(result).includes(null)) return result;
  return Object.fromEntries(Object.entries(result).filter(([, value]) => value !== null)) as unknown as Decision;
}

/**
 * Compiles and self-tests a bundle. `probes` are requests as this runtime would ask: any decision will do, what must not happen is that
 * the policy cannot be evaluated, or says something that is no decision.
 * @throws BundleError when it has no such entrypoint, cannot be instantiated or fails its self-test
 */
export async function activate(
  bundle: Bundle,
  entrypoint: string,
  now: Date,
  probes: readonly PolicyInput[] = [],
): Promise<ActivePolicy> {
  const { wasm, data, source } = bundle;
  const compiled = await PolicyModule.from(wasm, data, source);
  const id = Object.hasOwn(compiled.entrypoints, entrypoint) ? compiled.entrypoints[entrypoint] : undefined;
  if (id === undefined) {
    throw new BundleError(
      `${source}: no entrypoint ${entrypoint}; the bundle has: ${Object.keys(compiled.entrypoints).join(', ') || 'none'}`,
    );
  }
  const answer = (input: PolicyInput): Answer => {
    const { results, clockNs } = compiled.evaluate(id, encoder.encode(JSON.stringify(input)));
    const [first] = JSON.parse(results) as Array<{ result: unknown }>;
    return { decision: first === undefined ? undefined : decisionOf(first.result), result: first?.result, clockNs };
  };
  for (const input of [SELF_TEST, ...probes]) {
    try {
      answer(input);
    } catch (error) {
      const { tenant, model } = input.request;
      const asked = input === SELF_TEST ? '' : ` (tenant ${tenant}, model ${model})`;
      throw new BundleError(`${source}: self-test${asked}: ${messageOf(error)}`);
    }
  }
  return { bundle, activatedAt: now.toISOString(), answer, decide: (input) => answer(input).decision };
}
