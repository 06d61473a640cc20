import { isScalar } from 'yaml';
import type { Path, SourceDocument } from '../config/document.ts';
import type { Finding, Location } from '../core/finding.ts';
import type {
  OpensloAlertConditionDocument,
  OpensloAlertPolicyDocument,
  OpensloSliDocument,
  OpensloSloDocument,
} from '../generated/schemas.ts';
import { isTimeZone, parseLocalTime } from './calendar.ts';
import { parseOpensloDuration, parsePromDuration } from './duration.ts';
import { type AlertRule, decimal, type Objective, type Period, type Query, type Sli } from './model.ts';
import type { Loaded, OpensloSet } from './openslo.ts';
import { type Preset, presetAlerts } from './presets.ts';
import { parsePromql } from './promql.ts';
import { sloFinding } from './rules.ts';

type SloSpec = OpensloSloDocument['spec'];
type ObjectiveSpec = SloSpec['objectives'][number];
type SliSpec = OpensloSliDocument['spec'];
type QuerySource = NonNullable<SliSpec['thresholdMetric']>;

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
  const at = (...path: (string | number)[]): Location => source.locate(path);
  const incomplete = (message: string, location: Location, fix: string): void => {
    findings.push(sloFinding('slo-incomplete', { message, location, fix, subject: name }));
  };
  const services = [...set.others.keys()].filter((key) => key.startsWith('Service/'));
  if (services.length > 0 && !set.others.has(`Service/${spec.service}`))
    dangling(findings, 'Service', spec.service, at('spec', 'service'), name);
  const window = spec.timeWindow[0];
  const duration = parseOpensloDuration(window.duration)!;
  const period: Period = {
    text: window.duration,
    rolling: window.calendar === undefined,
    ms: duration.ms,
    location: at('spec', 'timeWindow', 0, 'duration'),
    ...(window.calendar === undefined ? {} : { calendar: window.calendar }),
  };
  if (window.isRolling === true && window.calendar !== undefined)
    incomplete(
      `${name} is both rolling and calendar-aligned.`,
      at('spec', 'timeWindow', 0, 'isRolling'),
      'Keep isRolling: true, or the calendar with isRolling: false.',
    );
  if (window.isRolling === false && window.calendar === undefined)
    incomplete(
      `${name} is calendar-aligned but has no calendar.`,
      at('spec', 'timeWindow', 0, 'isRolling'),
      'Add calendar with startTime and timeZone.',
    );
  if (window.calendar !== undefined) {
    const { startTime, timeZone } = window.calendar;
    if (parseLocalTime(startTime) === undefined)
      incomplete(
        `The calendar start of ${name} is ${JSON.stringify(startTime)}.`,
        at('spec', 'timeWindow', 0, 'calendar', 'startTime'),
        'Write a local time such as "2026-01-01 00:00:00".',
      );
    if (!isTimeZone(timeZone))
      incomplete(
        `The time zone of ${name} is ${JSON.stringify(timeZone)}.`,
        at('spec', 'timeWindow', 0, 'calendar', 'timeZone'),
        'Write an IANA time zone such as Europe/Berlin.',
      );
    if (/[mh]$/.test(window.duration))
      incomplete(
        `${name} has a calendar window of ${window.duration}.`,
        at('spec', 'timeWindow', 0, 'duration'),
        'Use days, weeks, months, quarters or years for a calendar window.',
      );
    const node = source.yaml.getIn(['spec', 'timeWindow', 0, 'calendar', 'startTime'], true);
    if (isScalar(node) && node.type === 'PLAIN') {
      findings.push(
        sloFinding('slo-timestamp-unquoted', {
          message: `The calendar start of ${name} is written without quotes.`,
          location: at('spec', 'timeWindow', 0, 'calendar', 'startTime'),
          fix: `Write startTime: "${window.calendar.startTime}": YAML 1.1 readers turn the plain form into a UTC date, and the specification means local time.`,
          subject: name,
        }),
      );
    }
  }
  const shared = resolveIndicator(spec, source, ['spec'], set, findings, name);
  const list = spec.objectives as readonly ObjectiveSpec[];
  const policies = resolveAlerts(slo, set, findings);
  const resolved: Objective[] = [];
  for (const [index, item] of list.entries()) {
    const path = ['spec', 'objectives', index] as const;
    const sli =
      item.indicator === undefined && item.indicatorRef === undefined
        ? shared
        : resolveIndicator(item, source, path, set, findings, name);
    if (sli === undefined) {
      if (spec.indicatorRef === undefined && item.indicatorRef === undefined)
        incomplete(`${name} has no indicator.`, at(...path), 'Add indicator or indicatorRef.');
      continue;
    }
    const target = targetOf(item, at(...path), name, source, path, findings);
    if (target === undefined) continue;
    const slice = sliceOf(item, spec.budgetingMethod, source, path, name, findings);
    const threshold = sli.kind === 'threshold' ? Number(item.value) : undefined;
    if (sli.kind === 'threshold' && (item.op === undefined || item.value === undefined || !Number.isFinite(threshold))) {
      incomplete(
        `${name} measures a threshold but its objective lacks op or a numeric value.`,
        at(...path),
        'Add op (lt, lte, gt, gte) and value to the objective.',
      );
    }
    if (sli.kind !== 'threshold' && (item.op !== undefined || item.value !== undefined)) {
      findings.push(
        sloFinding('slo-stray-threshold', {
          message: `${name} has op or value on a ratio objective, which nothing reads.`,
          location: source.locate([...path, item.op === undefined ? 'value' : 'op'], 'key'),
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
      ...(value.metadata.displayName === undefined ? {} : { displayName: value.metadata.displayName }),
      target,
      period,
      method: spec.budgetingMethod,
      ...slice,
      sli,
      ...(sli.kind === 'threshold' && item.op !== undefined && threshold !== undefined ? { op: item.op, value: threshold } : {}),
      location: at(...path),
    };
    resolved.push({ ...base, alerts: policies ?? presetAlerts(preset, period.ms, at('spec')) });
  }
  return resolved;
}

function dangling(findings: Finding[], kind: string, ref: string, location: Location, subject: string): void {
  findings.push(
    sloFinding('slo-dangling-reference', {
      message: `No file defines the ${kind} ${ref}.`,
      location,
      fix: `Add it, or correct the name; \`slo.files\` in mixgate.yaml says which files are read.`,
      subject,
    }),
  );
}

function targetOf(
  item: ObjectiveSpec,
  location: Location,
  name: string,
  source: SourceDocument,
  path: Path,
  findings: Finding[],
): number | undefined {
  if ((item.target === undefined) === (item.targetPercent === undefined)) {
    findings.push(
      sloFinding('slo-incomplete', {
        message: `${name} has ${item.target === undefined ? 'no target' : 'both target and targetPercent'}.`,
        location,
        fix: 'Give exactly one: target: 0.999, or targetPercent: 99.9.',
        subject: name,
      }),
    );
    return undefined;
  }
  const target = item.target ?? decimal(item.targetPercent! / 100);
  if (target >= 0 && target < 1) return target;
  const key = item.target === undefined ? 'targetPercent' : 'target';
  const written = item.target ?? item.targetPercent!;
  const whole = item.target === undefined ? 100 : 1;
  findings.push(
    sloFinding('slo-target-out-of-range', {
      message:
        written === whole
          ? `${name} has a target of 100 %, which leaves no error budget.`
          : `${name} has a ${key} of ${written}.`,
      location: source.locate([...path, key]),
      fix: `Write a ${key} of 0 or more and below ${whole}${key === 'target' && written > 1 && written < 100 ? `, e.g. targetPercent: ${written}` : ''}.`,
      evidence: { [key]: written },
      subject: name,
    }),
  );
  return undefined;
}

function sliceOf(
  item: ObjectiveSpec,
  method: string,
  source: SourceDocument,
  path: Path,
  name: string,
  findings: Finding[],
): { timeSliceTarget?: number; timeSliceMs?: number } {
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
    findings.push(
      sloFinding('slo-incomplete', {
        message: `${name} budgets by ${method} but lacks a usable ${lacks.join(' and ')}.`,
        location: source.locate(path),
        fix: 'Add timeSliceTarget: 0.95 and timeSliceWindow: 1m (a bare number means minutes) to the objective.',
        subject: name,
      }),
    );
  }
  return {
    ...(ms === undefined ? {} : { timeSliceMs: ms }),
    ...(item.timeSliceTarget === undefined ? {} : { timeSliceTarget: item.timeSliceTarget }),
  };
}

function resolveIndicator(
  holder: { indicator?: { spec: SliSpec }; indicatorRef?: string },
  source: SourceDocument,
  path: Path,
  set: OpensloSet,
  findings: Finding[],
  name: string,
): Sli | undefined {
  if (holder.indicator !== undefined)
    return sliOf(holder.indicator.spec, source, [...path, 'indicator', 'spec'], set, findings, name);
  if (holder.indicatorRef === undefined) return undefined;
  const found = set.slis.get(holder.indicatorRef);
  if (found === undefined) {
    dangling(findings, 'SLI', holder.indicatorRef, source.locate([...path, 'indicatorRef']), name);
    return undefined;
  }
  return sliOf(found.value.spec, found.source, ['spec'], set, findings, name);
}

function sliOf(
  spec: SliSpec,
  source: SourceDocument,
  path: Path,
  set: OpensloSet,
  findings: Finding[],
  name: string,
): Sli | undefined {
  const query = (entry: QuerySource, ...below: string[]): Query => {
    const at = [...path, ...below, 'metricSource'];
    const ref = entry.metricSource.metricSourceRef;
    const sources = [...set.others.keys()].some((key) => key.startsWith('DataSource/'));
    if (ref !== undefined && sources && !set.others.has(`DataSource/${ref}`))
      dangling(findings, 'DataSource', ref, source.locate([...at, 'metricSourceRef']), name);
    return parseQuery(entry.metricSource.spec['query'] as string, source, [...at, 'spec', 'query'], findings, name);
  };
  if ((spec.thresholdMetric === undefined) === (spec.ratioMetric === undefined)) {
    findings.push(
      sloFinding('slo-incomplete', {
        message: `The indicator of ${name} needs exactly one of thresholdMetric and ratioMetric.`,
        location: source.locate(path),
        fix: 'Keep one of them.',
        subject: name,
      }),
    );
    return undefined;
  }
  if (spec.thresholdMetric !== undefined) return { kind: 'threshold', query: query(spec.thresholdMetric, 'thresholdMetric') };
  const ratio = spec.ratioMetric!;
  if (ratio.raw !== undefined)
    return { kind: 'raw', counts: ratio.rawType === 'failure' ? 'bad' : 'good', raw: query(ratio.raw, 'ratioMetric', 'raw') };
  const part = ratio.good ?? ratio.bad;
  if (part === undefined || ratio.total === undefined || (ratio.good !== undefined && ratio.bad !== undefined)) {
    findings.push(
      sloFinding('slo-incomplete', {
        message: `The ratio of ${name} needs total and exactly one of good and bad.`,
        location: source.locate([...path, 'ratioMetric']),
        fix: 'Give good and total, or bad and total, or raw with rawType.',
        subject: name,
      }),
    );
    return undefined;
  }
  const counts = ratio.good === undefined ? 'bad' : 'good';
  return {
    kind: 'ratio',
    counter: ratio.counter ?? true,
    counts,
    part: summed(query(part, 'ratioMetric', counts)),
    total: summed(query(ratio.total, 'ratioMetric', 'total')),
  };
}

/**
 * A bare counter (`requests_total`) is a series per label set; the events of a ratio are their sum. Left as they are, Prometheus
 * would divide series by series: the ones that exist on one side only, the errors, would drop out.
 */
function summed(query: Query): Query {
  const { expr } = query;
  if (expr === undefined) return query;
  const bare = expr.kind === 'selector' || (expr.kind === 'call' && expr.args.length === 1 && expr.args[0]!.kind === 'selector');
  return bare ? { ...query, expr: { kind: 'aggregate', op: 'sum', arg: expr } } : query;
}

/** `{{.window}}` is Sloth's placeholder for the range, which each window replaces anyway. */
function parseQuery(text: string, source: SourceDocument, path: Path, findings: Finding[], name: string): Query {
  const location = source.locate(path);
  const plain = text.replaceAll(/\{\{\s*\.window\s*\}\}/g, '5m');
  const parsed = parsePromql(plain);
  if (parsed.ok) return { text, expr: parsed.expr, location };
  findings.push(
    sloFinding('slo-promql-invalid', {
      message: `A query of ${name} is not PromQL: ${parsed.problem.message}.`,
      location: placeInScalar(source, path, plain, parsed.problem.offset),
      evidence: { query: text.slice(0, 500), offset: parsed.problem.offset },
      fix: 'Correct the query; Prometheus would refuse it too.',
      subject: name,
    }),
  );
  return { text, expr: undefined, location };
}

/** The line of an offset inside a block scalar; the scalar's own place for other forms. */
function placeInScalar(source: SourceDocument, path: Path, text: string, offset: number): Location {
  const start = source.locate(path);
  const node = source.yaml.getIn([...path], true);
  if (!isScalar(node) || node.type !== 'BLOCK_LITERAL' || start.line === undefined) return start;
  const before = text.slice(0, offset).split('\n');
  return { file: start.file, line: start.line + before.length };
}

/** Undefined when the SLO names no policies: the preset applies. */
function resolveAlerts(slo: Loaded<OpensloSloDocument>, set: OpensloSet, findings: Finding[]): AlertRule[] | undefined {
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

type Condition = OpensloAlertConditionDocument['spec'];

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

const SHORT_WINDOW = 'mixgate.dev/short-window';
const ESCALATE_AFTER = 'mixgate.dev/escalate-after';

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
