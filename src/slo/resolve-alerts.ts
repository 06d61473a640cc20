import type { Path, SourceDocument } from '../config/document.ts';
import type { Finding } from '../core/finding.ts';
import type { OpensloAlertConditionDocument, OpensloAlertPolicyDocument, OpensloSloDocument } from '../generated/schemas.ts';
import { parsePromDuration } from '../prometheus/duration.ts';
import { dangling } from './dangling.ts';
import { parseOpensloDuration } from './duration.ts';
import type { AlertRule } from './model.ts';
import type { Loaded, OpensloSet } from './openslo.ts';
import { sloFinding } from './rules.ts';

type Condition = OpensloAlertConditionDocument['spec'];

const SHORT_WINDOW = 'mixgate.dev/short-window';
const ESCALATE_AFTER = 'mixgate.dev/escalate-after';

/** Undefined when the SLO names no policies: the preset applies. */
export function resolveAlerts(slo: Loaded<OpensloSloDocument>, set: OpensloSet, findings: Finding[]): AlertRule[] | undefined {
  const list = slo.value.spec.alertPolicies;
  if (list === undefined || list === null || list.length === 0) return undefined;
  const name = slo.value.metadata.name;
  const rules: AlertRule[] = [];
  for (const [index, entry] of list.entries()) {
    const path = ['spec', 'alertPolicies', index];
    const ref = typeof entry === 'string' ? entry : entry.alertPolicyRef;
    if (ref !== undefined) {
      const found = set.policies.get(ref);
      if (found === undefined) dangling(findings, 'AlertPolicy', ref, slo.source.locate(path), name);
      else rules.push(...rulesOf(ref, found.value.spec, found.source, ['spec'], set, findings, name));
    } else if (typeof entry !== 'string' && entry.spec === undefined) {
      findings.push(
        sloFinding('slo-incomplete', {
          message: `An alert policy of ${name} has neither alertPolicyRef nor spec.`,
          location: slo.source.locate(path),
          fix: 'Add alertPolicyRef, or kind: AlertPolicy with its spec.',
          subject: name,
        }),
      );
    } else if (typeof entry !== 'string' && entry.spec !== undefined) {
      rules.push(
        ...rulesOf(
          entry.metadata?.name ?? `${name}-alert-${index + 1}`,
          entry.spec as OpensloAlertPolicyDocument['spec'],
          slo.source,
          [...path, 'spec'],
          set,
          findings,
          name,
        ),
      );
    }
  }
  return rules;
}

function rulesOf(
  policy: string,
  spec: OpensloAlertPolicyDocument['spec'],
  source: SourceDocument,
  path: Path,
  set: OpensloSet,
  findings: Finding[],
  name: string,
): AlertRule[] {
  for (const [index, target] of (spec.notificationTargets ?? []).entries()) {
    const ref = target.targetRef;
    if (ref !== undefined && !set.others.has(`AlertNotificationTarget/${ref}`))
      dangling(
        findings,
        'AlertNotificationTarget',
        ref,
        source.locate([...path, 'notificationTargets', index, 'targetRef']),
        name,
      );
  }
  const condition = spec.conditions[0];
  if (condition.conditionRef !== undefined) {
    const found = set.conditions.get(condition.conditionRef);
    if (found === undefined) {
      dangling(
        findings,
        'AlertCondition',
        condition.conditionRef,
        source.locate([...path, 'conditions', 0, 'conditionRef']),
        name,
      );
      return [];
    }
    return ruleOf(policy, found.value.spec, found.value.metadata.annotations, found.source, ['spec'], findings, name);
  }
  if (condition.spec === undefined) {
    findings.push(
      sloFinding('slo-incomplete', {
        message: `The condition of ${policy} has neither conditionRef nor spec.`,
        location: source.locate([...path, 'conditions', 0]),
        fix: 'Add conditionRef, or kind: AlertCondition with its spec.',
        subject: name,
      }),
    );
    return [];
  }
  return ruleOf(
    policy,
    condition.spec as Condition,
    condition.metadata?.annotations,
    source,
    [...path, 'conditions', 0, 'spec'],
    findings,
    name,
  );
}

function ruleOf(
  policy: string,
  spec: Condition,
  annotations: Readonly<Record<string, string>> | undefined,
  source: SourceDocument,
  path: Path,
  findings: Finding[],
  name: string,
): AlertRule[] {
  const { condition } = spec;
  const annotated = (key: string): number | undefined => {
    const text = annotations?.[key];
    if (text === undefined) return undefined;
    const ms = parsePromDuration(text);
    if (ms !== undefined && ms > 0) return ms;
    findings.push(
      sloFinding('slo-incomplete', {
        message: `The annotation ${key} of ${policy} is ${JSON.stringify(text)}.`,
        location: source.locate(path),
        fix: 'Write a Prometheus duration such as 5m or 2h.',
        subject: name,
      }),
    );
    return undefined;
  };
  const shortMs = annotated(SHORT_WINDOW);
  const escalateAfterMs = annotated(ESCALATE_AFTER);
  return [
    {
      name: policy,
      severity: /^(?:page|critical|high|p1)$/i.test(spec.severity) ? 'page' : 'ticket',
      op: condition.op,
      threshold: condition.threshold,
      longMs: parseOpensloDuration(condition.lookbackWindow)!.ms,
      forMs: condition.alertAfter === undefined ? 0 : parseOpensloDuration(condition.alertAfter)!.ms,
      ...(shortMs === undefined ? {} : { shortMs }),
      ...(escalateAfterMs === undefined ? {} : { escalateAfterMs }),
      location: source.locate([...path, 'condition', 'threshold']),
    },
  ];
}
