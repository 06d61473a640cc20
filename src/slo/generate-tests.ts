import { parsePromDuration } from '../prometheus/duration.ts';
import { formatDuration, HOUR, MINUTE } from './duration.ts';
import { type AlertingRule, rulesFor } from './generate-rules.ts';
import type { Objective } from './model.ts';
import { type Matcher, type Selector, selectorsOf } from './promql-expr.ts';
import { type Labels, matcherTest } from './series.ts';

interface InputSeries {
  readonly series: string;
  readonly values: string;
}

export interface PromtoolTest {
  readonly name: string;
  readonly interval: string;
  readonly input_series: readonly InputSeries[];
  readonly alert_rule_test: readonly {
    readonly eval_time: string;
    readonly alertname: string;
    readonly exp_alerts: readonly {
      readonly exp_labels: Readonly<Record<string, string>>;
      readonly exp_annotations: Readonly<Record<string, string>>;
    }[];
  }[];
}

const RATE = 100;

/**
 * Unit tests for promtool: with traffic that is all good no alert fires; with traffic that is all bad every reachable alert fires,
 * the escalation only after its time. Undefined when no label values can be found that tell good from bad.
 */
export function promtoolTests(objective: Objective): readonly PromtoolTest[] | undefined {
  const series = seriesFor(objective);
  if (series === undefined) return undefined;
  const alerts = rulesFor(objective).flatMap((group) => group.rules.filter((rule): rule is AlertingRule => 'alert' in rule));
  if (alerts.length === 0) return undefined;
  const holdOf = (rule: AlertingRule): number => (rule.for === undefined ? 0 : parsePromDuration(rule.for)!);
  const plain = Math.max(...alerts.filter((rule) => rule.labels['mixgate_escalated'] === undefined).map(holdOf));
  const early = plain + 15 * MINUTE;
  const late = Math.max(...alerts.map(holdOf)) + 30 * MINUTE;
  const firing = (at: number): PromtoolTest['alert_rule_test'][number] => ({
    eval_time: formatDuration(at),
    alertname: 'ErrorBudgetBurn',
    exp_alerts: alerts
      .filter((rule) => holdOf(rule) <= at - 10 * MINUTE)
      .map((rule) => ({ exp_labels: { ...rule.labels }, exp_annotations: rule.annotations })),
  });
  const samples = Math.ceil((late + HOUR) / MINUTE);
  const values = (rate: number): string => (rate === 0 ? `0x${samples}` : `0+${rate}x${samples}`);
  return [
    {
      name: 'traffic that is all good fires nothing',
      interval: '1m',
      input_series: series.map(({ text, healthy }) => ({ series: text, values: values(healthy) })),
      alert_rule_test: [{ eval_time: formatDuration(late), alertname: 'ErrorBudgetBurn', exp_alerts: [] }],
    },
    {
      name: 'traffic that is all bad fires, and escalates when it lasts',
      interval: '1m',
      input_series: series.map(({ text, outage }) => ({ series: text, values: values(outage) })),
      alert_rule_test: [firing(early), ...(late > early ? [firing(late)] : [])],
    },
  ];
}

interface SyntheticSeries {
  readonly text: string;
  readonly healthy: number;
  readonly outage: number;
}

function seriesFor(objective: Objective): readonly SyntheticSeries[] | undefined {
  const { sli } = objective;
  if (sli.kind !== 'ratio' || sli.part.expr === undefined || sli.total.expr === undefined) return undefined;
  const [parts, totals] = [selectorsOf(sli.part.expr), selectorsOf(sli.total.expr)];
  const [part, total] = [parts[0], totals[0]];
  if (part === undefined || total === undefined || parts.length > 1) return undefined;
  if ([part, ...totals].some((selector) => selector.name === '')) return undefined;
  if (totals.length > 1)
    return sli.total.expr.kind === 'binary' && sli.total.expr.op === '+'
      ? sumSeries(part, totals, sli.counts === 'good')
      : undefined;
  const counted = sli.counts === 'good';
  if (part.name !== total.name) {
    const [own, all] = [labelsFor(part.matchers, part.matchers), labelsFor(total.matchers, total.matchers)];
    if (own === undefined || all === undefined) return undefined;
    return [
      { text: seriesText(part, own), healthy: counted ? RATE : 0, outage: counted ? 0 : RATE },
      { text: seriesText(total, all), healthy: RATE, outage: RATE },
    ];
  }
  const every = [...part.matchers, ...total.matchers];
  const inside = labelsFor(every, every);
  const outside = violating(part.matchers, total.matchers);
  if (inside === undefined || outside === undefined) return undefined;
  return [
    { text: seriesText(part, inside), healthy: counted ? RATE : 0, outage: counted ? 0 : RATE },
    { text: seriesText(total, outside), healthy: counted ? 0 : RATE, outage: counted ? RATE : 0 },
  ];
}

/** A total that is a sum, e.g. of requests with a first token and of failed ones: the first term carries the traffic. */
function sumSeries(part: Selector, totals: readonly Selector[], counted: boolean): readonly SyntheticSeries[] | undefined {
  if (totals.some((selector) => selector.name === part.name)) return undefined;
  const found: SyntheticSeries[] = [];
  for (const [index, selector] of [part, ...totals].entries()) {
    const labels = labelsFor(selector.matchers, selector.matchers);
    if (labels === undefined) return undefined;
    const [healthy, outage] = index === 0 ? (counted ? [RATE, 0] : [0, RATE]) : index === 1 ? [RATE, RATE] : [0, 0];
    found.push({ text: seriesText(selector, labels), healthy: healthy!, outage: outage! });
  }
  return found;
}

function candidates(matchers: readonly Matcher[]): readonly string[] {
  const mined = matchers.flatMap((m) => [
    m.value,
    ...m.value.split('|'),
    ...m.value.split('|').map((word) =>
      word
        .replace(/^\^?\(?|\)?\$?$/g, '')
        .replaceAll('.*', '')
        .replaceAll('.+', 'x')
        .replaceAll('.', '0')
        .replaceAll('\\', ''),
    ),
  ]);
  return [...new Set(['', ...mined, '200', '500', '404', 'ok', 'error', 'timeout', 'other', '1'])];
}

/** Label values that satisfy all `wanted` matchers, chosen label by label. */
function labelsFor(wanted: readonly Matcher[], all: readonly Matcher[]): Labels | undefined {
  const labels: Record<string, string> = {};
  for (const label of new Set(all.map((m) => m.label))) {
    const tests = wanted.filter((m) => m.label === label).map(matcherTest);
    const value = candidates(all.filter((m) => m.label === label)).find((candidate) => tests.every((test) => test(candidate)));
    if (value === undefined) return undefined;
    if (value !== '') labels[label] = value;
  }
  return labels;
}

/** Labels that satisfy `total` and break `part` in one label. */
function violating(part: readonly Matcher[], total: readonly Matcher[]): Labels | undefined {
  const every = [...part, ...total];
  for (const label of new Set(part.map((m) => m.label))) {
    const own = part.filter((m) => m.label === label).map(matcherTest);
    const must = total.filter((m) => m.label === label).map(matcherTest);
    const value = candidates(every.filter((m) => m.label === label)).find(
      (candidate) => must.every((test) => test(candidate)) && !own.every((test) => test(candidate)),
    );
    const rest = labelsFor(
      every.filter((m) => m.label !== label),
      every.filter((m) => m.label !== label),
    );
    if (value !== undefined && rest !== undefined) return value === '' ? rest : { ...rest, [label]: value };
  }
  return undefined;
}

function seriesText(selector: Selector, labels: Labels): string {
  const pairs = Object.keys(labels)
    .sort()
    .map((label) => `${label}=${JSON.stringify(labels[label])}`);
  return `${selector.name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`}`;
}
