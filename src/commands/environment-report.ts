import type { GateResult } from '../core/gate.ts';
import { buildReport, type Provenance, type Report } from '../core/report.ts';
import type { Environment } from '../promotion/environment.ts';
import type { Invocation } from './framework.ts';
import { provenanceOf } from './provenance.ts';

/** The report of a command on an environment: configuration and state come from the tip of its remote branch. */
export function environmentReport(
  invocation: Invocation,
  { target }: Environment,
  gate: GateResult,
  more: Partial<Pick<Provenance, 'head' | 'tools'>> = {},
): Report {
  const tip = `${target.remote}/${target.branch}`;
  return buildReport(
    [gate],
    provenanceOf(invocation, {
      base: { ref: tip, commit: target.tip },
      configFrom: `${tip} ${target.tip.slice(0, 12)}`,
      ...more,
    }),
  );
}
