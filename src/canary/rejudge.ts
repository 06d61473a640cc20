import { ConfigurationError } from '../core/errors.ts';
import type { GateResult } from '../core/gate.ts';
import type { CanaryProfileDocument } from '../generated/schemas.ts';
import type { LoadedProfile } from './gate.ts';
import { joinLabels, labelMetrics, labelTable, readLabels, unmatchedFindings } from './labels.ts';
import { analyseCanary } from './run/analyse.ts';
import { readSamples } from './run/k6.ts';

export interface RejudgeInput {
  /** The file of `canary run --samples`, and label files: path, and the name that the user gave. */
  readonly run: { readonly path: string; readonly name: string };
  readonly labels: readonly { readonly path: string; readonly name: string }[];
  /** Without one only the labels are judged, over everything and by segment. */
  readonly loaded: LoadedProfile | undefined;
  readonly alpha: number | undefined;
  readonly seed: number;
  readonly now: string;
}

/** Judges a kept run once more, with labels that came since: `label_bad` and `label_score` join the metrics and their family. */
export async function rejudgeRun(input: RejudgeInput): Promise<GateResult> {
  const samples = await readSamples(input.run.path);
  const pairs = new Set(
    samples.points.filter((point) => point.tags['block'] === 'ab' && point.prompt !== '').map((point) => point.pair),
  );
  if (pairs.size === 0)
    throw new ConfigurationError({
      message: 'there are no pairs that labels could belong to.',
      location: { file: input.run.name },
      expected: 'the file that `mixgate canary run --samples FILE` keeps',
    });
  const lines = (await Promise.all(input.labels.map(({ path, name }) => readLabels(path, name)))).flat();
  const joined = joinLabels(samples.points, lines);
  const found = labelMetrics(joined);
  const profile = input.loaded?.profile;
  const named = new Set(profile?.metrics.map((metric) => metric.name));
  const wanted: CanaryProfileDocument['metrics'] = [
    ...(profile?.metrics ?? []),
    ...(found.length === 0 ? (['label_bad'] as const) : found)
      .filter((name) => !named.has(name))
      .map((name) => ({ name, bySegment: true })),
  ] as CanaryProfileDocument['metrics'];
  const result = analyseCanary({
    samples: { ...samples, points: [...samples.points, ...joined.points] },
    profile: {
      ...(profile ?? { version: 1, pairs: pairs.size, aaPairs: 0 }),
      ...(input.alpha === undefined ? {} : { alpha: input.alpha }),
      metrics: wanted,
    },
    profileFile: input.loaded?.file ?? input.run.name,
    ...(input.loaded === undefined ? {} : { locate: input.loaded.locate }),
    seed: input.seed,
    now: input.now,
    findings: unmatchedFindings(joined),
  });
  return { ...result, tables: [result.tables![0]!, labelTable(joined), ...result.tables!.slice(1)] };
}
