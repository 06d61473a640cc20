import type { Finding } from '../core/finding.ts';
import { type GateResult, gateResult } from '../core/gate.ts';
import type { CaseInput, CaseResult } from './judge/types.ts';
import { distributionCharts, forestCharts } from './metric-charts.ts';
import { canaryFinding } from './rules.ts';
import { pooledEvidence, pooledText } from './run/pooled-table.ts';
import { evidenceOf, measurements, regressionText } from './run/present.ts';
import { tables } from './run/tables.ts';

/** A case and its judgement: the pictures need the samples. */
export interface JudgedSamples {
  readonly input: CaseInput;
  readonly judged: CaseResult;
}

/** A judged case of sample files as a gate result. Pure. */
export function judgedGate({ input, judged }: JudgedSamples, file: string | undefined): GateResult {
  const regressed: Finding[] = judged.metrics
    .filter((metric) => metric.verdict === 'fail' || metric.verdict === 'warn')
    .map((metric) =>
      canaryFinding('canary-metric-regressed', {
        level: metric.verdict === 'fail' ? 'error' : 'warning',
        // An invalid run blocks nothing by what it seems to show.
        blocking: metric.verdict === 'fail' && judged.verdict === 'fail',
        message: regressionText(metric),
        ...(file === undefined ? {} : { location: { file } }),
        evidence: evidenceOf(metric),
        subject: metric.segment ?? metric.name,
        fix: 'Do not promote the candidate; look at what changed in this metric.',
      }),
    );
  const together: Finding[] = (judged.pooled ?? [])
    .filter((pool) => pool.verdict === 'fail' || pool.verdict === 'warn')
    .map((pool) =>
      canaryFinding('canary-metric-regressed', {
        level: pool.verdict === 'fail' ? 'error' : 'warning',
        blocking: pool.verdict === 'fail' && judged.verdict === 'fail',
        message: pooledText(pool),
        ...(file === undefined ? {} : { location: { file } }),
        evidence: pooledEvidence(pool),
        subject: pool.name,
        fix: 'Do not promote the candidate; the table of segments says where the change is largest.',
      }),
    );
  const result = gateResult({
    id: 'canary',
    findings: [...regressed, ...together],
    measurements: measurements(judged, undefined),
    tables: tables(judged, undefined, undefined, 'pair id'),
    charts: judged.verdict === 'error' ? [] : [...forestCharts(judged), ...distributionCharts(input, judged)],
    passReason: judged.reason,
    inconclusive: judged.verdict === 'inconclusive' ? judged.reason : undefined,
  });
  return { ...result, verdict: judged.verdict, reason: judged.reason };
}
