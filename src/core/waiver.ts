import { type Finding, finding, type Location } from './finding.ts';
import { type GateResult, gateResult } from './gate.ts';

/** A checked-in exception: rule, scope, reason, owner, expiry. */
export interface Waiver {
  readonly rule: string;
  /** Only findings in this file (exact path), about this subject, or both. Absent = every finding of the rule. */
  readonly file?: string;
  readonly subject?: string;
  readonly reason: string;
  readonly owner: string;
  /** ISO date `YYYY-MM-DD`, the last day on which it holds (UTC). */
  readonly expires: string;
  readonly location: Location;
}

export interface WaiverOutcome {
  readonly gates: readonly GateResult[];
  /** Findings about the waivers themselves: expired or unused ones. */
  readonly findings: readonly Finding[];
}

/**
 * Applies waivers to gate results and recomputes their verdicts.
 * @param today ISO date; a parameter so that the result doesn't depend on a clock
 */
export function applyWaivers(gates: readonly GateResult[], waivers: readonly Waiver[], today: string): WaiverOutcome {
  const used = new Set<Waiver>();
  const live = waivers.filter((waiver) => waiver.expires >= today);
  const result = gates.map((gate) => {
    let touched = false;
    const findings = gate.findings.map((f) => {
      const waiver = live.find((w) => covers(w, f));
      if (waiver === undefined) return f;
      used.add(waiver);
      touched = true;
      return { ...f, waived: { reason: waiver.reason, owner: waiver.owner, expires: waiver.expires } };
    });
    if (!touched || gate.verdict === 'error') return touched ? { ...gate, findings } : gate;
    const again = gateResult({
      id: gate.id,
      findings,
      passReason: 'every finding is waived',
      inconclusive: gate.missing,
    });
    return { ...gate, findings: again.findings, verdict: again.verdict, reason: again.reason };
  });
  const findings: Finding[] = [];
  for (const waiver of waivers) {
    if (waiver.expires < today) {
      findings.push(
        finding({
          ruleId: 'waiver-expired',
          level: 'error',
          message: `The waiver for ${waiver.rule} expired on ${waiver.expires} and no longer hides anything.`,
          location: waiver.location,
          subject: waiver.rule,
          fix: `Fix what it covers and delete it, or have ${waiver.owner} extend it with a new reason.`,
        }),
      );
    } else if (!used.has(waiver)) {
      findings.push(
        finding({
          ruleId: 'waiver-unused',
          level: 'warning',
          message: `The waiver for ${waiver.rule} covers no finding.`,
          location: waiver.location,
          subject: waiver.rule,
          fix: 'Delete it, or correct its scope.',
        }),
      );
    }
  }
  return { gates: result, findings };
}

function covers(waiver: Waiver, f: Finding): boolean {
  if (waiver.rule !== f.ruleId) return false;
  if (waiver.file !== undefined && waiver.file !== f.location?.file) return false;
  return waiver.subject === undefined || waiver.subject === f.subject;
}
