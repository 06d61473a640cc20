/** One sample of the k6 run: a `Point` line of `--out json` with our metric prefix removed. */
export interface CanaryPoint {
  readonly metric: string;
  readonly value: number;
  readonly tags: { readonly [name: string]: string };
  readonly pair: number;
  readonly prompt: string;
  /**
   * Of `token_dnll`: a word a token, `CHANGE:EXPERTS OF LAYER 0,EXPERTS OF LAYER 1,...:BASELINE`, experts joined by `+`; change and
   * baseline's negative log-likelihood in nats. Of `kld`: a word a token, its divergence in nats.
   */
  readonly tokens?: string;
  /** Of `answer` and `sample`: what the model wrote, cut to 16 Ki characters. */
  readonly text?: string;
}

export interface PointSet {
  readonly points: readonly CanaryPoint[];
  /** k6's own count of iterations it could not start. */
  readonly droppedIterations: number;
  readonly badLines: number;
}

const PREFIX = 'mixgate_';

/** Reads the lines of a k6 NDJSON file. Lines that aren't JSON (a file cut short) are counted, not fatal. */
export function parsePoints(lines: Iterable<string>): PointSet {
  const points: CanaryPoint[] = [];
  let droppedIterations = 0;
  let badLines = 0;
  for (const line of lines) {
    if (line === '') continue;
    let record: {
      type?: unknown;
      metric?: unknown;
      data?: { value?: unknown; tags?: Record<string, string> | null; metadata?: Record<string, string> | null };
    };
    try {
      record = JSON.parse(line) as typeof record;
    } catch {
      badLines += 1;
      continue;
    }
    if (record.type !== 'Point' || typeof record.metric !== 'string' || typeof record.data?.value !== 'number') continue;
    if (record.metric === 'dropped_iterations') droppedIterations += record.data.value;
    if (!record.metric.startsWith(PREFIX)) continue;
    const metadata = record.data.metadata ?? {};
    points.push({
      metric: record.metric.slice(PREFIX.length),
      value: record.data.value,
      tags: record.data.tags ?? {},
      pair: Number(metadata['pair'] ?? -1),
      prompt: metadata['prompt'] ?? '',
      ...(metadata['tokens'] === undefined ? {} : { tokens: metadata['tokens'] }),
      ...(metadata['text'] === undefined ? {} : { text: metadata['text'] }),
    });
  }
  return { points, droppedIterations, badLines };
}
