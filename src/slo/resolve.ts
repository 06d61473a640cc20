import type { Finding } from '../core/finding.ts';
import type { OpensloSloDocument } from '../generated/schemas.ts';
import type { Objective } from './model.ts';
import type { Loaded, OpensloSet } from './openslo.ts';
import { below, dangling, incomplete, locationOf, type Place } from './place.ts';
import { type Preset, presetAlerts } from './presets.ts';
import { resolveAlerts } from './resolve-alerts.ts';
import { resolveIndicator } from './resolve-indicator.ts';
import { periodOf } from './resolve-period.ts';
import { type ObjectiveSpec, sliceOf, targetOf } from './resolve-target.ts';
import { sloFinding } from './rules.ts';

export interface Resolved {
  readonly objectives: readonly Objective[];
  readonly findings: readonly Finding[];
}

/** Follows references and turns every objective of every SLO into what is judged; what can't be resolved is a finding. */
export function resolveObjectives(set: OpensloSet, preset: Preset = 'project'): Resolved {
  const findings: Finding[] = [];
  const objectives = set.slos.flatMap((slo) => resolveSlo(slo, set, preset, findings));
  return { objectives, findings };
}

function resolveSlo(slo: Loaded<OpensloSloDocument>, set: OpensloSet, preset: Preset, findings: Finding[]): Objective[] {
  const { value, source } = slo;
  const { spec } = value;
  const name = value.metadata.name;
  const place: Place = { source, path: ['spec'], slo: name, set, findings };
  const services = [...set.others.keys()].filter((key) => key.startsWith('Service/'));
  if (services.length > 0 && !set.others.has(`Service/${spec.service}`))
    dangling(below(place, 'service'), 'Service', spec.service);
  const period = periodOf(spec, place);
  const shared = resolveIndicator(spec, place);
  const list = spec.objectives as readonly ObjectiveSpec[];
  const policies = resolveAlerts(spec, place);
  const resolved: Objective[] = [];
  for (const [index, item] of list.entries()) {
    const at = below(place, 'objectives', index);
    const sli = item.indicator === undefined && item.indicatorRef === undefined ? shared : resolveIndicator(item, at);
    if (sli === undefined) {
      if (spec.indicatorRef === undefined && item.indicatorRef === undefined)
        incomplete(at, `${name} has no indicator.`, 'Add indicator or indicatorRef.');
      continue;
    }
    const target = targetOf(item, at);
    if (target === undefined) continue;
    const slice = sliceOf(item, spec.budgetingMethod, at);
    const threshold = sli.kind === 'threshold' ? Number(item.value) : undefined;
    if (sli.kind === 'threshold' && (item.op === undefined || item.value === undefined || !Number.isFinite(threshold))) {
      incomplete(
        at,
        `${name} measures a threshold but its objective lacks op or a numeric value.`,
        'Add op (lt, lte, gt, gte) and value to the objective.',
      );
    }
    if (sli.kind !== 'threshold' && (item.op !== undefined || item.value !== undefined)) {
      findings.push(
        sloFinding('slo-stray-threshold', {
          message: `${name} has op or value on a ratio objective, which nothing reads.`,
          location: source.locate([...at.path, item.op === undefined ? 'value' : 'op'], 'key'),
          fix: 'Delete op and value; a ratio objective has a target only.',
          subject: name,
        }),
      );
    }
    const id = list.length === 1 ? name : `${name}/${item.displayName ?? index + 1}`;
    const base = {
      id,
      slo: name,
      service: spec.service,
      target,
      period,
      method: spec.budgetingMethod,
      ...slice,
      sli,
      ...(sli.kind === 'threshold' && item.op !== undefined && threshold !== undefined ? { op: item.op, value: threshold } : {}),
      location: locationOf(at),
    };
    resolved.push({ ...base, alerts: policies ?? presetAlerts(preset, period.ms, locationOf(place)) });
  }
  return resolved;
}
