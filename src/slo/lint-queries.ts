import type { Finding } from '../core/finding.ts';
import type { Objective, Query, Sli } from './model.ts';
import { type Matcher, type Selector, selectorsOf } from './promql-expr.ts';
import { formatPromql } from './promql-format.ts';
import { sloFinding } from './rules.ts';

/**
 * Bucket bounds in seconds that the OpenTelemetry semantic conventions advise (v1.41.1, gen-ai metrics): a threshold between two
 * bounds can't be measured.
 */
const TOKEN_BOUNDS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
const DURATION_BOUNDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const BUCKET_BOUNDS: Readonly<Record<string, readonly number[]>> = {
  gen_ai_server_time_to_first_token: [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
  gen_ai_server_time_per_output_token: TOKEN_BOUNDS,
  gen_ai_server_request_duration: DURATION_BOUNDS,
  gen_ai_client_operation_duration: DURATION_BOUNDS,
};

/** Metrics that successful requests alone produce (semantic conventions, gen-ai server metrics). */
const SUCCESS_ONLY = ['gen_ai_server_time_to_first_token', 'gen_ai_server_time_per_output_token'];

function baseName(metric: string): string {
  return metric.replace(/_(?:bucket|count|sum)$/, '').replace(/_seconds$/, '');
}

export function lintQueries(objective: Objective): Finding[] {
  const { sli } = objective;
  const queries = sli.kind === 'ratio' ? [sli.part, sli.total] : sli.kind === 'raw' ? [sli.raw] : [sli.query];
  return [
    ...queries.flatMap((query) => lintBounds(objective, query)),
    ...(sli.kind === 'ratio' ? [...lintRatio(objective, sli), ...queries.flatMap((query) => lintRange(objective, query))] : []),
  ];
}

function lintBounds(objective: Objective, query: Query): Finding[] {
  if (query.expr === undefined) return [];
  return selectorsOf(query.expr).flatMap((selector) => {
    const bounds = selector.name.endsWith('_bucket') ? BUCKET_BOUNDS[baseName(selector.name)] : undefined;
    const le = selector.matchers.find((matcher) => matcher.label === 'le' && matcher.op === '=');
    if (bounds === undefined || le === undefined) return [];
    const value = Number(le.value);
    if (bounds.includes(value)) return [];
    const [below, above] = [bounds.filter((bound) => bound < value).at(-1), bounds.find((bound) => bound > value)];
    const near = [below, above].filter((bound) => bound !== undefined);
    return [
      sloFinding('slo-bucket-bound', {
        message: `${objective.id} counts requests with le="${le.value}", which is not a bucket bound of ${selector.name}.`,
        location: query.location,
        evidence: { le: le.value, bounds: [...bounds] },
        fix: `Use ${near.map((bound) => `le="${bound}"`).join(' or ')}: no series has another bound, so the query would count nothing${Number.isFinite(value) ? '' : ' or everything'}.`,
        subject: objective.id,
      }),
    ];
  });
}

function lintRange(objective: Objective, query: Query): Finding[] {
  const fixed =
    query.expr === undefined || query.text.includes('{{')
      ? undefined
      : selectorsOf(query.expr).find((selector) => selector.rangeMs !== undefined);
  if (fixed === undefined) return [];
  return [
    sloFinding('slo-fixed-range', {
      message: `A query of ${objective.id} fixes the range of ${fixed.name}, which each window replaces.`,
      location: query.location,
      fix: 'Give the counter alone, e.g. sum(requests_total): it is wrapped in increase() over each window.',
      subject: objective.id,
    }),
  ];
}

function lintRatio(objective: Objective, sli: Extract<Sli, { kind: 'ratio' }>): Finding[] {
  const [part, total] = [sli.part.expr, sli.total.expr];
  if (part === undefined || total === undefined) return [];
  const at = { location: sli.part.location, related: [{ ...sli.total.location, message: 'total' }], subject: objective.id };
  if (formatPromql(part) === formatPromql(total)) {
    return [
      sloFinding('slo-queries-identical', {
        ...at,
        message: `${objective.id} divides a query by itself: ${sli.counts} and total are the same.`,
        fix: `Restrict ${sli.counts} to the events that are ${sli.counts}, e.g. with error_type${sli.counts === 'good' ? '=' : '!='}"".`,
      }),
    ];
  }
  const [parts, totals] = [selectorsOf(part), selectorsOf(total)];
  if (parts.length !== 1 || totals.length !== 1) return [];
  return [...lintSelectors(objective, sli, parts[0]!, totals[0]!), ...lintSuccessOnly(objective, sli, parts[0]!, totals[0]!)];
}

function matcherText(matcher: Matcher): string {
  return `${matcher.label}${matcher.op}${JSON.stringify(matcher.value)}`;
}

/** Numerator and denominator may differ in what says success, and in nothing else. */
function lintSelectors(objective: Objective, sli: Extract<Sli, { kind: 'ratio' }>, part: Selector, total: Selector): Finding[] {
  const relevant = (selector: Selector): Matcher[] =>
    selector.matchers.filter((m) => !(m.label === 'le' && selector.name.endsWith('_bucket')));
  const [own, all] = [relevant(part), relevant(total)];
  const missing = all.filter((m) => !own.some((o) => matcherText(o) === matcherText(m)));
  const extra = own.filter((m) => !all.some((o) => matcherText(o) === matcherText(m)));
  const extraLabels = [...new Set(extra.map((m) => m.label))];
  if (missing.length === 0 && extraLabels.length <= 1) return [];
  // One label, matched differently on both sides, with the total side unrestricted by it, is the success matcher.
  const what =
    missing.length > 0
      ? `total is restricted by ${missing.map(matcherText).join(', ')} and ${sli.counts} is not`
      : `${sli.counts} is restricted by ${extraLabels.length} labels more than total (${extra.map(matcherText).join(', ')}), so that it leaves out events that total counts`;
  return [
    sloFinding('slo-selector-mismatch', {
      message: `${sli.counts === 'good' ? 'Good' : 'Bad'} and total events of ${objective.id} are counted over different series: ${what}.`,
      location: sli.part.location,
      related: [{ ...sli.total.location, message: 'total' }],
      evidence: { [sli.counts]: own.map(matcherText), total: all.map(matcherText) },
      fix: 'Give both the same matchers; they may differ in the one that says success.',
      subject: objective.id,
    }),
  ];
}

function lintSuccessOnly(objective: Objective, sli: Extract<Sli, { kind: 'ratio' }>, part: Selector, total: Selector): Finding[] {
  const base = baseName(total.name);
  if (baseName(part.name) !== base || !SUCCESS_ONLY.includes(base)) return [];
  return [
    sloFinding('slo-success-only-latency', {
      message: `${objective.id} counts successful requests only: failed ones have no ${base}.`,
      location: sli.total.location,
      fix: 'Use gen_ai_server_request_duration_seconds_count as the total: it counts failures too.',
      subject: objective.id,
    }),
  ];
}
