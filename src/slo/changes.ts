import type { Finding } from '../core/finding.ts';
import type { Objective } from './model.ts';
import { decimal } from './model.ts';
import { sloFinding } from './rules.ts';

/**
 * What a change takes away from the objectives: removed ones, lower targets, later alerts. Pure.
 * @param refused SLOs of head that have a blocking finding of their own: what can't be used there was not removed
 */
export function compareObjectives(
  base: readonly Objective[],
  head: readonly Objective[],
  file: string,
  refused: ReadonlySet<string> = new Set(),
): readonly Finding[] {
  const now = new Map(head.map((objective) => [objective.id, objective]));
  return base.flatMap((before) => {
    const after = now.get(before.id);
    if (after === undefined) {
      if (refused.has(before.slo)) return [];
      return [
        sloFinding('slo-weakened', {
          message: `The change removes the objective ${before.id}.`,
          location: { file: before.location.file || file },
          subject: before.id,
          fix: 'Say in the description who agreed to it, or keep it.',
        }),
      ];
    }
    const found: Finding[] = [];
    if (after.target < before.target) {
      found.push(
        sloFinding('slo-weakened', {
          message: `The change lowers the target of ${after.id} from ${decimal(before.target * 100)} % to ${decimal(after.target * 100)} %.`,
          location: after.location,
          evidence: { before: before.target, after: after.target },
          subject: after.id,
          fix: 'Say in the description who agreed to it: the error budget grows with it.',
        }),
      );
    }
    const sharpest = (objective: Objective): number =>
      Math.min(Infinity, ...objective.alerts.filter((rule) => rule.severity === 'page').map((rule) => rule.threshold));
    if (sharpest(after) > sharpest(before)) {
      found.push(
        sloFinding('slo-weakened', {
          message: `The change raises the burn rate at which ${after.id} pages from ${sharpest(before)}x to ${sharpest(after) === Infinity ? 'never' : `${sharpest(after)}x`}.`,
          location: after.location,
          subject: after.id,
          fix: 'Say in the description why later pages are enough.',
        }),
      );
    }
    return found;
  });
}
