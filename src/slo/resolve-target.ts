import type { OpensloSloDocument } from '../generated/schemas.ts';
import { parseOpensloDuration } from './duration.ts';
import { decimal } from './model.ts';
import { below, incomplete, locationOf, type Place } from './place.ts';
import { sloFinding } from './rules.ts';

export type ObjectiveSpec = OpensloSloDocument['spec']['objectives'][number];

/** Share of good events that is asked for, 0 to below 1; undefined, with a finding, when it cannot be one. */
export function targetOf(item: ObjectiveSpec, place: Place): number | undefined {
  const name = place.slo;
  if ((item.target === undefined) === (item.targetPercent === undefined)) {
    incomplete(
      place,
      `${name} has ${item.target === undefined ? 'no target' : 'both target and targetPercent'}.`,
      'Give exactly one: target: 0.999, or targetPercent: 99.9.',
    );
    return undefined;
  }
  const target = item.target ?? decimal(item.targetPercent! / 100);
  if (target >= 0 && target < 1) return target;
  const key = item.target === undefined ? 'targetPercent' : 'target';
  const written = item.target ?? item.targetPercent!;
  const whole = item.target === undefined ? 100 : 1;
  place.findings.push(
    sloFinding('slo-target-out-of-range', {
      message:
        written === whole
          ? `${name} has a target of 100 %, which leaves no error budget.`
          : `${name} has a ${key} of ${written}.`,
      location: locationOf(below(place, key)),
      fix: `Write a ${key} of 0 or more and below ${whole}${key === 'target' && written > 1 && written < 100 ? `, e.g. targetPercent: ${written}` : ''}.`,
      evidence: { [key]: written },
      subject: name,
    }),
  );
  return undefined;
}

/** Target and length (ms) of the slices of a budget by time. */
export function sliceOf(item: ObjectiveSpec, method: string, place: Place): { timeSliceTarget?: number; timeSliceMs?: number } {
  if (method === 'Occurrences') return {};
  const window = item.timeSliceWindow;
  // A bare number means minutes (specification, "timeSliceWindow").
  const ms =
    typeof window === 'number'
      ? window * 60_000
      : /^\d+$/.test(window ?? '')
        ? Number(window) * 60_000
        : parseOpensloDuration(window ?? '')?.ms;
  const lacks = [
    ...(ms === undefined || ms <= 0 ? ['timeSliceWindow'] : []),
    ...(method === 'Timeslices' && item.timeSliceTarget === undefined ? ['timeSliceTarget'] : []),
  ];
  if (lacks.length > 0) {
    incomplete(
      place,
      `${place.slo} budgets by ${method} but lacks a usable ${lacks.join(' and ')}.`,
      'Add timeSliceTarget: 0.95 and timeSliceWindow: 1m (a bare number means minutes) to the objective.',
    );
  }
  return {
    ...(ms === undefined ? {} : { timeSliceMs: ms }),
    ...(item.timeSliceTarget === undefined ? {} : { timeSliceTarget: item.timeSliceTarget }),
  };
}
