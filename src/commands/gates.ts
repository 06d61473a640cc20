import type { Config } from '../config/load.ts';
import {
  ConfigurationError,
  formatLocation,
  InternalError,
  isMixgateError,
  type MixgateError,
  messageOf,
  type Problem,
} from '../core/errors.ts';
import { finding } from '../core/finding.ts';
import type { GateId, GateResult } from '../core/gate.ts';
import type { GateContext } from '../core/gate-context.ts';
import { capitalised } from '../core/text.ts';

/** A gate that runs on a pull request: when its section is in mixgate.yaml, or always. */
export interface PullRequestGate {
  readonly id: GateId;
  readonly configured: (config: Config) => boolean;
  readonly run: (context: GateContext, config: Config) => Promise<GateResult>;
}

/** The gates of `mixgate check`, in the order of reports. Modules are loaded when their gate runs. */
export const PULL_REQUEST_GATES: readonly PullRequestGate[] = [
  {
    id: 'telemetry',
    configured: (config) => config.telemetry !== undefined,
    run: async (context, config) => (await import('../telemetry/gate.ts')).runTelemetryGate(context, config.telemetry!, config),
  },
  {
    id: 'policy',
    configured: (config) => config.policy !== undefined,
    run: async (context, config) => (await import('../policy/gate.ts')).runPolicyGate(context, config.policy!, config),
  },
  {
    id: 'catalog',
    configured: (config) => config.catalog !== undefined,
    run: async (context, config) => (await import('../catalog/gate.ts')).runCatalogGate(context, config.catalog!, config),
  },
  {
    id: 'drift',
    configured: (config) => config.clusters?.some((cluster) => cluster.snapshot !== undefined) === true,
    run: async (context, config) => (await import('../drift/gate.ts')).runDriftGate(context, config.drift ?? {}, config),
  },
  {
    id: 'slo',
    configured: (config) => config.slo !== undefined,
    run: async (context, config) => (await import('../slo/gate.ts')).runSloGate(context, config.slo!, config),
  },
];

/**
 * Runs one gate; what it throws becomes the verdict `error` with the problem as a finding, so that the other gates still
 * report: a fault of mixgate too, because a file of the change may have provoked it.
 * @param editedConfig the configuration file, where the change edits it and base's is in force: a file that moved is not found then
 */
export async function runGate(
  gate: PullRequestGate,
  context: GateContext,
  config: Config,
  editedConfig?: string,
): Promise<GateResult> {
  try {
    return await gate.run(context, config);
  } catch (thrown) {
    if (context.signal.aborted) throw thrown;
    const error = isMixgateError(thrown) ? thrown : faultOf(thrown);
    if (error instanceof InternalError && process.env['MIXGATE_DEBUG'])
      context.progress.warn(`${error.cause instanceof Error ? error.cause.stack : error.stack}`);
    // A file of the change that can't be read is the change's fault; a missing program is not.
    const changesFault = error instanceof ConfigurationError;
    const findings = error.problems.map((problem) =>
      finding({
        ruleId: changesFault ? 'input-invalid' : 'gate-error',
        level: 'error',
        message: sentence(problem.message),
        location: problem.location,
        fix: fixOf(problem, changesFault ? editedConfig : undefined),
        subject: gate.id,
      }),
    );
    return {
      id: gate.id,
      verdict: changesFault ? 'fail' : 'error',
      reason: reasonOf(error),
      findings,
      measurements: [],
    };
  }
}

function fixOf(problem: Problem, editedConfig: string | undefined): string | undefined {
  const fix = problem.fix ?? (problem.expected === undefined ? undefined : `Expected ${problem.expected}.`);
  if (editedConfig === undefined) return fix;
  const base = `The ${editedConfig} in force is base's, because a change can't weaken its own gate: to move files, first merge one that names the old and the new place.`;
  return fix === undefined ? base : `${sentence(fix)} ${base}`;
}

function faultOf(cause: unknown): InternalError {
  return new InternalError(
    { message: `this is a fault of mixgate: ${messageOf(cause)}`, fix: 'report it; MIXGATE_DEBUG=1 shows the stack trace.' },
    { cause },
  );
}

/** With the place, which a line of the summary has no column for. */
function reasonOf(error: MixgateError): string {
  const [first] = error.problems;
  if (first === undefined) return error.message;
  const where = first.location === undefined ? '' : `${formatLocation(first.location)}: `;
  return where === '' ? sentence(first.message) : `${where}${first.message}`;
}

/** Problems begin small, after `mixgate: `; a finding stands alone. Names (of keys, of programs) stay as they are. */
function sentence(message: string): string {
  return /^(?:the|there|this|no|not|a|an|one|every|each|cannot|nested|unknown)\b/.test(message) ? capitalised(message) : message;
}
