import { ConfigurationError } from '../core/errors.ts';
import type { GateResult } from '../core/gate.ts';
import type { CanaryProfileDocument } from '../generated/schemas.ts';
import type { LoadedProfile } from './gate.ts';
import { type JoinedLabels, joinLabels, labelMetrics, labelTable, readLabels, unmatchedFindings } from './labels.ts';
import { analyseCanary } from './run/analyse.ts';
import { readPoints } from './run/k6.ts';
import { CANARY_METRICS } from './run/metrics.ts';
import type { PointSet } from './run/points.ts';

export interface RejudgeInput {
  /** The file of `canary run --samples`, and label files: path, and the name that the user gave. */
  readonly run: { readonly path: string; readonly name: string };
  readonly labels: readonly { readonly path: string; readonly name: string }[];
  /** Without one the labels alone are judged, over everything and by segment; without labels either, what the run measured. */
  readonly loaded: LoadedProfile | undefined;
  readonly alpha: number | undefined;
  /** How often the growing run was judged; default: the rounds that the profile plans. */
  readonly looks?: number | undefined;
  /** Which of them this is; default: the round that the kept pairs end. */
  readonly look?: number | undefined;
  /** Why the record is not whole. */
  readonly aborted?: string | undefined;
  readonly seed: number;
  readonly now: string;
}

/**
 * Judges a kept run once more: its pairs, without warm-up and A/A block. Labels that came since join as `label_bad` and `label_score`, in the
 * same family.
 */
export async function rejudgeRun(input: RejudgeInput): Promise<GateResult> {
  const samples = await readPoints(input.run.path);
  const pairs = new Set(
    samples.points.filter((point) => point.tags['block'] === 'ab' && point.prompt !== '').map((point) => point.pair),
  );
  if (pairs.size === 0)
    throw new ConfigurationError({
      message: `there are no pairs${input.labels.length === 0 ? ' of a canary run' : ' that labels could belong to'}.`,
      location: { file: input.run.name },
      expected: 'the file that `mixgate canary run --samples FILE` keeps',
    });
  const lines = (await Promise.all(input.labels.map(({ path, name }) => readLabels(path, name)))).flat();
  const joined = joinLabels(samples.points, lines);
  const profile = input.loaded?.profile;
  const named = new Set(profile?.metrics.map((metric) => metric.name));
  const wanted: CanaryProfileDocument['metrics'] = [
    ...(profile?.metrics ?? (lines.length === 0 ? measured(samples) : [])),
    ...(lines.length === 0 ? [] : labelled(joined)).filter((name) => !named.has(name)).map((name) => ({ name, bySegment: true })),
  ] as CanaryProfileDocument['metrics'];
  const looks = input.looks ?? (profile === undefined ? 1 : Math.ceil((profile.maxPairs ?? profile.pairs) / profile.pairs));
  const round = profile === undefined || input.looks !== undefined ? undefined : Math.ceil(pairs.size / profile.pairs);
  const look = input.look ?? (round === undefined ? undefined : Math.min(looks, round));
  const result = analyseCanary({
    samples: { ...samples, points: [...samples.points, ...joined.points] },
    profile: {
      ...(profile ?? { version: 1, pairs: pairs.size, aaPairs: aaPairs(samples) }),
      ...(input.alpha === undefined ? {} : { alpha: input.alpha }),
      metrics: wanted,
    },
    profileFile: input.loaded?.file ?? input.run.name,
    ...(input.loaded === undefined ? {} : { locate: input.loaded.locate }),
    seed: input.seed,
    now: input.now,
    ...(looks > 1 ? { looks, ...(look === undefined ? {} : { look }) } : {}),
    ...(input.aborted === undefined ? {} : { aborted: input.aborted }),
    findings: unmatchedFindings(joined),
  });
  if (lines.length === 0) return result;
  return { ...result, tables: [result.tables![0]!, labelTable(joined), ...result.tables!.slice(1)] };
}

function labelled(joined: JoinedLabels): readonly ('label_bad' | 'label_score')[] {
  const found = labelMetrics(joined);
  return found.length === 0 ? ['label_bad'] : found;
}

/** What a run has values of, of all that one can measure. */
function measured({ points }: PointSet): { readonly name: string }[] {
  const present = new Set(points.filter((point) => point.tags['block'] === 'ab').map((point) => point.metric));
  return CANARY_METRICS.filter(({ name }) => present.has(name)).map(({ name }) => ({ name }));
}

function aaPairs({ points }: PointSet): number {
  return new Set(points.filter((point) => point.tags['block'] === 'aa').map((point) => point.pair)).size;
}
