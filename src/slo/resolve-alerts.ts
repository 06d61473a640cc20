import type { OpensloAlertConditionDocument, OpensloAlertPolicyDocument, OpensloSloDocument } from '../generated/schemas.ts';
import { parsePromDuration } from '../prometheus/duration.ts';
import { parseOpensloDuration } from './duration.ts';
import type { AlertRule } from './model.ts';
import { below, dangling, incomplete, locationOf, type Place, specOf } from './place.ts';

type Condition = OpensloAlertConditionDocument['spec'];

const SHORT_WINDOW = 'mixgate.dev/short-window';
const ESCALATE_AFTER = 'mixgate.dev/escalate-after';

/** Undefined when the SLO names no policies: the preset applies. */
export function resolveAlerts({ alertPolicies: list }: OpensloSloDocument['spec'], spec: Place): AlertRule[] | undefined {
  if (list === undefined || list === null || list.length === 0) return undefined;
  const rules: AlertRule[] = [];
  for (const [index, entry] of list.entries()) {
    const place = below(spec, 'alertPolicies', index);
    const ref = typeof entry === 'string' ? entry : entry.alertPolicyRef;
    if (ref !== undefined) {
      const found = place.set.policies.get(ref);
      if (found === undefined) dangling(place, 'AlertPolicy', ref);
      else rules.push(...rulesOf(ref, found.value.spec, specOf(place, found)));
    } else if (typeof entry !== 'string' && entry.spec === undefined) {
      incomplete(
        place,
        `An alert policy of ${place.slo} has neither alertPolicyRef nor spec.`,
        'Add alertPolicyRef, or kind: AlertPolicy with its spec.',
      );
    } else if (typeof entry !== 'string' && entry.spec !== undefined) {
      const name = entry.metadata?.name ?? `${place.slo}-alert-${index + 1}`;
      rules.push(...rulesOf(name, entry.spec as OpensloAlertPolicyDocument['spec'], below(place, 'spec')));
    }
  }
  return rules;
}

function rulesOf(policy: string, spec: OpensloAlertPolicyDocument['spec'], place: Place): AlertRule[] {
  const { set } = place;
  for (const [index, target] of (spec.notificationTargets ?? []).entries()) {
    const ref = target.targetRef;
    if (ref !== undefined && !set.others.has(`AlertNotificationTarget/${ref}`))
      dangling(below(place, 'notificationTargets', index, 'targetRef'), 'AlertNotificationTarget', ref);
  }
  const condition = spec.conditions[0];
  if (condition.conditionRef !== undefined) {
    const found = set.conditions.get(condition.conditionRef);
    if (found === undefined) {
      dangling(below(place, 'conditions', 0, 'conditionRef'), 'AlertCondition', condition.conditionRef);
      return [];
    }
    return [ruleOf(policy, found.value.spec, found.value.metadata.annotations, specOf(place, found))];
  }
  if (condition.spec === undefined) {
    incomplete(
      below(place, 'conditions', 0),
      `The condition of ${policy} has neither conditionRef nor spec.`,
      'Add conditionRef, or kind: AlertCondition with its spec.',
    );
    return [];
  }
  const at = below(place, 'conditions', 0, 'spec');
  return [ruleOf(policy, condition.spec as Condition, condition.metadata?.annotations, at)];
}

function ruleOf(
  policy: string,
  spec: Condition,
  annotations: Readonly<Record<string, string>> | undefined,
  place: Place,
): AlertRule {
  const { condition } = spec;
  const annotated = (key: string): number | undefined => {
    const text = annotations?.[key];
    if (text === undefined) return undefined;
    const ms = parsePromDuration(text);
    if (ms !== undefined && ms > 0) return ms;
    incomplete(
      place,
      `The annotation ${key} of ${policy} is ${JSON.stringify(text)}.`,
      'Write a Prometheus duration such as 5m or 2h.',
    );
    return undefined;
  };
  const shortMs = annotated(SHORT_WINDOW);
  const escalateAfterMs = annotated(ESCALATE_AFTER);
  return {
    name: policy,
    severity: /^(?:page|critical|high|p1)$/i.test(spec.severity) ? 'page' : 'ticket',
    op: condition.op,
    threshold: condition.threshold,
    longMs: parseOpensloDuration(condition.lookbackWindow)!.ms,
    forMs: condition.alertAfter === undefined ? 0 : parseOpensloDuration(condition.alertAfter)!.ms,
    ...(shortMs === undefined ? {} : { shortMs }),
    ...(escalateAfterMs === undefined ? {} : { escalateAfterMs }),
    location: locationOf(below(place, 'condition', 'threshold')),
  };
}
