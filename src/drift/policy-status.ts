import type { Finding } from '../core/finding.ts';
import type { BundleStatus } from './opa-status.ts';
import { driftFinding } from './rules.ts';
import { age, instantMs } from './time.ts';

export interface PolicySide {
  readonly cluster: string;
  readonly statuses: readonly BundleStatus[];
  readonly capturedAt: string;
  /** Revision by bundle that Git declares for the cluster at head, and at base. */
  readonly declared: ReadonlyMap<string, string>;
  readonly declaredBase: ReadonlyMap<string, string>;
}

/**
 * Policy engines against what Git declares, else against most of the fleet: skew (another revision), stale (no contact with
 * the bundle server), failed activation (the old policy keeps serving).
 * @param maxAgeMs longest time since the last successful bundle request, at capture time
 */
export function policyFindings(sides: readonly PolicySide[], maxAgeMs: number): readonly Finding[] {
  const findings: Finding[] = [];
  for (const side of sides) {
    for (const status of side.statuses) {
      const who = `${side.cluster} ${status.instance}`;
      const common = { location: status.location, subject: side.cluster };
      if (status.code !== undefined) {
        findings.push(
          driftFinding('drift-policy-activation-failed', {
            ...common,
            message: `${who} could not activate policy bundle ${status.bundle} (${status.code}) and serves revision ${status.revision || 'unknown'}.`,
            evidence: { code: status.code, message: status.message ?? '', activeRevision: status.revision },
            fix: 'Read the error, fix the bundle, and check that the engine activates it; until then requests are decided by the old policy.',
          }),
        );
      }
      findings.push(...revisionFinding(status, side, sides, who));
      const last = status.lastRequest === undefined ? undefined : instantMs(status.lastRequest);
      const captured = instantMs(side.capturedAt)!;
      if (last !== undefined && captured - last > maxAgeMs) {
        findings.push(
          driftFinding('drift-policy-stale', {
            ...common,
            message: `${who} last reached the server of policy bundle ${status.bundle} ${age(captured - last)} before the snapshot.`,
            evidence: { lastSuccessfulRequest: status.lastRequest!, limitSeconds: maxAgeMs / 1000 },
            fix: "Check the engine's access to its bundle server; a new policy would not arrive. Raise `drift.policyMaxAge` if it polls more rarely by design.",
          }),
        );
      }
    }
  }
  return findings;
}

function revisionFinding(status: BundleStatus, side: PolicySide, sides: readonly PolicySide[], who: string): readonly Finding[] {
  const declared = side.declared.get(status.bundle);
  const common = { location: status.location, subject: side.cluster };
  if (status.revision === '') {
    if (declared === undefined && sides.length < 2) return [];
    return [
      driftFinding('drift-unverifiable', {
        ...common,
        message: `${who} reports no revision for policy bundle ${status.bundle}, so nobody can tell which policy it runs.`,
        fix: "Set `revision` in the bundle's .manifest when it is built.",
      }),
    ];
  }
  const expected = declared ?? majority(status.bundle, sides);
  if (expected === undefined || expected === status.revision) return [];
  if (declared !== undefined && side.declaredBase.get(status.bundle) === status.revision) {
    return [
      driftFinding('drift-pending', {
        ...common,
        message: `${side.cluster} runs revision ${status.revision} of policy bundle ${status.bundle}; this change brings ${declared}.`,
      }),
    ];
  }
  return [
    driftFinding('drift-policy-revision-skew', {
      ...common,
      message: `${who} runs revision ${status.revision} of policy bundle ${status.bundle}, ${declared === undefined ? 'most of the fleet' : 'Git'} says ${expected}.`,
      evidence: {
        active: status.revision,
        expected,
        fleet: Object.fromEntries(sides.map((each) => [each.cluster, revisions(status.bundle, each)])),
      },
      fix: 'Find out why the engine did not take the bundle (its log, `GET /v1/status`), or declare the revision that should run.',
    }),
  ];
}

function revisions(bundle: string, side: PolicySide): readonly string[] {
  return [...new Set(side.statuses.filter((each) => each.bundle === bundle).map((each) => each.revision))].sort();
}

/** The revision that most engines run; undefined without a majority. */
function majority(bundle: string, sides: readonly PolicySide[]): string | undefined {
  const counts = new Map<string, number>();
  for (const side of sides)
    for (const status of side.statuses)
      if (status.bundle === bundle && status.revision !== '') counts.set(status.revision, (counts.get(status.revision) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  return sorted[0] !== undefined && sorted[0][1] > (sorted[1]?.[1] ?? 0) ? sorted[0][0] : undefined;
}
