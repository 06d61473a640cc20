import type { Progress } from '../core/context.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { type GateResult, gateResult, type Subject } from '../core/gate.ts';
import { collectEvidence } from './collect.ts';
import { judgeObjective, type ObjectiveOutcome } from './evaluate.ts';
import type { MaintenanceWindow } from './maintenance.ts';
import { coverageSelectors } from './measure.ts';
import type { Objective } from './model.ts';
import { type Matcher, unsupportedOf } from './promql-expr.ts';
import { burnResult } from './results.ts';
import type { MetricSource } from './source.ts';

export interface BurnOptions {
  readonly objectives: readonly Objective[];
  /** Lint findings of the same files: a blocking one fails the gate before anything is asked. */
  readonly lints: readonly Finding[];
  readonly source: MetricSource;
  /** Unix time in ms. */
  readonly at: number;
  readonly live: boolean;
  readonly match?: readonly Matcher[];
  /** Canary mode. */
  readonly window?: number | 'available' | undefined;
  readonly by?: string | undefined;
  readonly minEvents?: number | undefined;
  readonly minBudget?: number | undefined;
  readonly maintenance?: readonly MaintenanceWindow[];
  readonly subjects: readonly Subject[];
  readonly progress: Progress;
}

const MAX_SEGMENTS = 50;

/** `mixgate slo gate`: measures every objective (and every value of `by`), judges, and reports. */
export async function runBurnGate(options: BurnOptions): Promise<GateResult> {
  const blocking = options.lints.filter((f) => f.blocking);
  if (blocking.length > 0) return gateResult({ id: 'slo', findings: options.lints, subjects: options.subjects, passReason: '' });
  if (options.objectives.length === 0)
    throw new ConfigurationError({ message: 'the files hold no SLO.', expected: 'at least one document of kind SLO' });
  const outcomes: ObjectiveOutcome[] = [];
  for (const [index, objective] of options.objectives.entries()) {
    options.progress.step(`slo: ${objective.id} (${index + 1} of ${options.objectives.length})`);
    checkSupported(objective);
    outcomes.push(await judge(objective, options, undefined));
    for (const segment of await segmentsOf(objective, options)) outcomes.push(await judge(objective, options, segment));
  }
  const result = burnResult({
    outcomes,
    source: options.source.name,
    at: options.at,
    live: options.live,
    minBudget: options.minBudget,
    by: options.by,
    canary: options.window !== undefined,
    subjects: options.subjects,
  });
  const findings = [...result.findings, ...options.lints];
  return gateResult({
    ...result,
    findings,
    passReason: result.reason,
    inconclusive:
      result.verdict === 'inconclusive' || outcomes.some((o) => o.missing.length > 0) ? inconclusiveReason(outcomes) : undefined,
  });
}

function inconclusiveReason(outcomes: readonly ObjectiveOutcome[]): string {
  const open = outcomes.filter((outcome) => outcome.missing.length > 0);
  const first = open[0]!;
  return `${first.objective.id}${first.segment === undefined ? '' : ` in ${first.segment}`}: ${first.missing[0]}${open.length > 1 ? ` (and ${open.length - 1} more)` : ''}`;
}

async function judge(objective: Objective, options: BurnOptions, segment: string | undefined): Promise<ObjectiveOutcome> {
  const match = [
    ...(options.match ?? []),
    ...(segment === undefined ? [] : [{ label: options.by!, op: '=' as const, value: segment }]),
  ];
  const evidence = await collectEvidence(objective, options.source, {
    at: options.at,
    match,
    minEvents: options.minEvents,
    ...(options.window === undefined ? {} : { window: options.window }),
  });
  const outcome = judgeObjective(objective, evidence, {
    minEvents: options.minEvents,
    minBudget: options.minBudget,
    ...(options.maintenance === undefined ? {} : { maintenance: options.maintenance }),
  });
  return { ...outcome, ...(segment === undefined ? {} : { segment }) };
}

async function segmentsOf(objective: Objective, options: BurnOptions): Promise<readonly string[]> {
  if (options.by === undefined) return [];
  const values = await options.source.labelValues(
    options.by,
    coverageSelectors(objective, options.match === undefined ? {} : { match: options.match }),
    options.at,
  );
  if (values.length > MAX_SEGMENTS)
    throw new ConfigurationError({
      message: `the label ${options.by} has ${values.length} values.`,
      expected: `at most ${MAX_SEGMENTS}`,
      fix: 'choose a label such as cluster for `slo.by`.',
    });
  return values;
}

/** Queries that can't be rewritten would be asked over the wrong window: refuse them by name. */
function checkSupported(objective: Objective): void {
  const { sli } = objective;
  if (sli.kind !== 'ratio') return;
  for (const query of [sli.part, sli.total]) {
    const [construct] = query.expr === undefined ? [] : unsupportedOf(query.expr);
    if (construct !== undefined) {
      throw new ConfigurationError({
        message: `a query of ${objective.id} uses ${construct}, which cannot be put over each window.`,
        location: query.location,
        expected: 'selectors, functions, aggregations and operators',
        fix: 'give the counter alone, e.g. sum(requests_total{...}).',
      });
    }
  }
}
