import type { CanaryProfileDocument } from '../../generated/schemas.ts';
import type { CaseInput, MetricInput } from '../judge/types.ts';
import { type MetricDefinition, metricDefinition } from './metrics.ts';
import type { CanaryPoint } from './points.ts';

type ProfileMetric = CanaryProfileDocument['metrics'][number];

/** What verdicts can be given by, beside the whole. */
const GROUPINGS = ['segment', 'domain', 'language', 'task'] as const;
type Groups = { readonly [grouping in (typeof GROUPINGS)[number]]: string };

interface PairValues extends Groups {
  baseline?: number;
  candidate?: number;
}

/** The points of one metric and block, joined by pair, in order of sending. */
function joinPairs(points: readonly CanaryPoint[], definition: MetricDefinition, block: 'aa' | 'ab'): readonly PairValues[] {
  const pairs = new Map<number, PairValues>();
  for (const point of points) {
    if (point.metric !== definition.name || point.tags['block'] !== block) continue;
    const pair: PairValues = pairs.get(point.pair) ?? groupsOf(point);
    if (definition.shape === 'pair') {
      pair.baseline = definition.ideal!;
      pair.candidate = point.value;
    } else if (point.tags['arm'] === 'candidate')
      pair.candidate = definition.kind === 'binary' ? Math.max(pair.candidate ?? 0, point.value) : point.value;
    else if (point.tags['arm'] === 'baseline')
      pair.baseline = definition.kind === 'binary' ? Math.max(pair.baseline ?? 0, point.value) : point.value;
    pairs.set(point.pair, pair);
  }
  return [...pairs.entries()].sort(([a], [b]) => a - b).map(([, pair]) => pair);
}

/** The judge's case: a metric over everything, and one per segment where the profile asks for it. */
export function buildCase(
  points: readonly CanaryPoint[],
  profile: CanaryProfileDocument,
  options: {
    readonly block: 'aa' | 'ab';
    readonly seed: number;
    readonly alpha: number;
    readonly looks?: number;
    readonly look?: number | undefined;
  },
): CaseInput {
  const metrics: MetricInput[] = [];
  for (const wanted of profile.metrics) {
    const definition = metricDefinition(wanted.name);
    const pairs = joinPairs(points, definition, options.block).filter(
      (pair) => pair.baseline !== undefined && pair.candidate !== undefined,
    );
    metrics.push(metricInput(definition, wanted, pairs));
    for (const { name, own } of groups(pairs, wanted)) metrics.push(metricInput(definition, wanted, own, name));
  }
  const { block, alpha, seed, looks, look } = options;
  return {
    id: block,
    design: 'paired',
    alpha,
    seed,
    ...(looks === undefined ? {} : { looks }),
    ...(look === undefined ? {} : { look }),
    metrics,
  };
}

function groupsOf({ tags }: CanaryPoint): Groups {
  const of = (name: string): string => tags[name] ?? '';
  return { segment: of('segment'), domain: of('domain'), language: of('language'), task: of('task') };
}

/**
 * The groups that get a verdict: a segment under its own name, others as `language=de`. Groups of the same prompts are one question:
 * asked twice, they would only cost the family power. A group of every prompt is the whole.
 */
function groups(pairs: readonly PairValues[], wanted: ProfileMetric): { name: string; own: readonly PairValues[] }[] {
  const by = GROUPINGS.filter((name) => wanted.by?.includes(name) === true || (name === 'segment' && wanted.bySegment === true));
  const result: { name: string; own: readonly PairValues[] }[] = [];
  const seen = new Set<string>();
  for (const grouping of by) {
    const values = [...new Set(pairs.map((pair) => pair[grouping]))].filter((value) => value !== '').sort();
    for (const value of values) {
      const indices = pairs.flatMap((pair, index) => (pair[grouping] === value ? [index] : []));
      const key = indices.join();
      if (seen.has(key) || (grouping !== 'segment' && indices.length === pairs.length)) continue;
      seen.add(key);
      result.push({ name: grouping === 'segment' ? value : `${grouping}=${value}`, own: indices.map((index) => pairs[index]!) });
    }
  }
  return result;
}

function metricInput(
  definition: MetricDefinition,
  wanted: ProfileMetric,
  pairs: readonly PairValues[],
  segment?: string,
): MetricInput {
  return {
    name: definition.name,
    ...(segment === undefined ? {} : { segment }),
    kind: definition.kind,
    direction: definition.direction,
    margin: wanted.margin ?? definition.margin,
    ...(wanted.noData === undefined ? {} : { noData: wanted.noData }),
    baseline: pairs.map((pair) => pair.baseline!),
    candidate: pairs.map((pair) => pair.candidate!),
  };
}
