import { isScalar } from 'yaml';
import type { Location } from '../core/finding.ts';
import type { OpensloSliDocument } from '../generated/schemas.ts';
import type { Query, Sli } from './model.ts';
import { below, dangling, incomplete, locationOf, type Place, specOf } from './place.ts';
import { parsePromql } from './promql.ts';
import { sloFinding } from './rules.ts';

type SliSpec = OpensloSliDocument['spec'];
type QuerySource = NonNullable<SliSpec['thresholdMetric']>;

/** The indicator of an SLO or of one of its objectives, given in place or by name. */
export function resolveIndicator(
  holder: { indicator?: { spec: SliSpec }; indicatorRef?: string },
  place: Place,
): Sli | undefined {
  if (holder.indicator !== undefined) return sliOf(holder.indicator.spec, below(place, 'indicator', 'spec'));
  if (holder.indicatorRef === undefined) return undefined;
  const found = place.set.slis.get(holder.indicatorRef);
  if (found === undefined) {
    dangling(below(place, 'indicatorRef'), 'SLI', holder.indicatorRef);
    return undefined;
  }
  return sliOf(found.value.spec, specOf(place, found));
}

function sliOf(spec: SliSpec, place: Place): Sli | undefined {
  const { others } = place.set;
  const query = (entry: QuerySource, ...steps: string[]): Query => {
    const at = below(place, ...steps, 'metricSource');
    const ref = entry.metricSource.metricSourceRef;
    const sources = [...others.keys()].some((key) => key.startsWith('DataSource/'));
    if (ref !== undefined && sources && !others.has(`DataSource/${ref}`))
      dangling(below(at, 'metricSourceRef'), 'DataSource', ref);
    return parseQuery(entry.metricSource.spec['query'] as string, below(at, 'spec', 'query'));
  };
  if ((spec.thresholdMetric === undefined) === (spec.ratioMetric === undefined)) {
    incomplete(place, `The indicator of ${place.slo} needs exactly one of thresholdMetric and ratioMetric.`, 'Keep one of them.');
    return undefined;
  }
  if (spec.thresholdMetric !== undefined) return { kind: 'threshold', query: query(spec.thresholdMetric, 'thresholdMetric') };
  const ratio = spec.ratioMetric!;
  if (ratio.raw !== undefined)
    return { kind: 'raw', counts: ratio.rawType === 'failure' ? 'bad' : 'good', raw: query(ratio.raw, 'ratioMetric', 'raw') };
  const part = ratio.good ?? ratio.bad;
  if (part === undefined || ratio.total === undefined || (ratio.good !== undefined && ratio.bad !== undefined)) {
    incomplete(
      below(place, 'ratioMetric'),
      `The ratio of ${place.slo} needs total and exactly one of good and bad.`,
      'Give good and total, or bad and total, or raw with rawType.',
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
function parseQuery(text: string, place: Place): Query {
  const location = locationOf(place);
  const plain = text.replaceAll(/\{\{\s*\.window\s*\}\}/g, '5m');
  const parsed = parsePromql(plain);
  if (parsed.ok) return { text, expr: parsed.expr, location };
  place.findings.push(
    sloFinding('slo-promql-invalid', {
      message: `A query of ${place.slo} is not PromQL: ${parsed.problem.message}.`,
      location: placeInScalar(place, plain, parsed.problem.offset),
      evidence: { query: text.slice(0, 500), offset: parsed.problem.offset },
      fix: 'Correct the query; Prometheus would refuse it too.',
      subject: place.slo,
    }),
  );
  return { text, expr: undefined, location };
}

/** The line of an offset inside a block scalar; the scalar's own place for other forms. */
function placeInScalar(place: Place, text: string, offset: number): Location {
  const start = locationOf(place);
  const node = place.source.yaml.getIn([...place.path], true);
  if (!isScalar(node) || node.type !== 'BLOCK_LITERAL' || start.line === undefined) return start;
  const before = text.slice(0, offset).split('\n');
  return { file: start.file, line: start.line + before.length };
}
