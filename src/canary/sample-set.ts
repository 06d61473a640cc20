import type { K6MetricType } from './sample-rows.ts';

/** Limits on one sample file. */
export const MAX_SAMPLES = 5_000_000;
export const MAX_SERIES = 10_000;

/** Points of one metric, segment and arm, in order of the file. */
export interface Series {
  readonly metric: string;
  readonly segment?: string;
  readonly arm?: string;
  readonly values: number[];
  readonly times: number[];
  readonly pairs: (string | undefined)[];
}

/** A file of samples, sorted into series. */
export interface SampleSet {
  readonly file: string;
  readonly series: readonly Series[];
  readonly types: ReadonlyMap<string, K6MetricType>;
  readonly droppedIterations: number;
  /** The file ends in the middle of a record. */
  readonly truncated: boolean;
  /** Series of a running system: points at the same step are no pair, and an arm without any is missing data, not a wrong file. */
  readonly live?: boolean;
  /** What `canary run --samples` keeps: pairs with their answers, a warm-up and an A/A block before them. */
  readonly canaryRun?: boolean;
}
