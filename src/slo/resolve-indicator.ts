import { isScalar } from 'yaml';
import type { Path, SourceDocument } from '../config/document.ts';
import type { Finding, Location } from '../core/finding.ts';
import type { OpensloSliDocument } from '../generated/schemas.ts';
import { dangling } from './dangling.ts';
import type { Query, Sli } from './model.ts';
import type { OpensloSet } from './openslo.ts';
import { parsePromql } from './promql.ts';
import { sloFinding } from './rules.ts';

type SliSpec = OpensloSliDocument['spec'];
type QuerySource = NonNullable<SliSpec['thresholdMetric']>;

/** The indicator of an SLO or of one of its objectives, given in place or by name. */
export function resolveIndicator(
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
