import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeText } from '../config/document.ts';
import { problemsOf } from '../config/schema.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { Measurement } from '../core/gate.ts';
import type { Json } from '../core/json.ts';
import { REPORT_SCHEMA } from '../core/report.ts';
import type { Verdict } from '../core/verdict.ts';

const MAX_FILES = 1000;
const MAX_BYTES = 32 * 1024 * 1024;

/** One metric of one release, over all segments. */
export interface ReleaseMetric {
  readonly statistic: string;
  readonly baseline: number | undefined;
  readonly candidate: number | undefined;
  readonly n: number;
  readonly effect: number | undefined;
  readonly effectUnit: 'relative' | 'absolute';
  readonly interval: readonly [number, number] | undefined;
  readonly verdict: Verdict | undefined;
}

export interface Release {
  /** The file's name without `.json`. */
  readonly name: string;
  readonly metrics: ReadonlyMap<string, ReleaseMetric>;
}

/**
 * Reads the canary reports (`--format json`) of a folder, in natural order of their names (`r2` before `r10`). JSON files that are
 * something else are counted. @throws ConfigurationError for a folder without any, and for reports that break their schema
 */
export async function readReleases(dir: string, shown: string): Promise<{ releases: Release[]; skipped: number }> {
  const names = await readdir(dir).catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'ENOENT' ? 'there is no such folder' : cause.message;
    throw new ConfigurationError({
      message: `cannot be read: ${why}.`,
      location: { file: shown },
      expected: 'a folder of canary reports',
    });
  });
  const files = names.filter((name) => name.endsWith('.json')).sort(new Intl.Collator('en', { numeric: true }).compare);
  if (files.length > MAX_FILES)
    throw new ConfigurationError({
      message: `more than ${MAX_FILES} reports.`,
      location: { file: shown },
      fix: 'move old ones away.',
    });
  const releases: Release[] = [];
  let skipped = 0;
  for (const name of files) {
    const release = await readRelease(join(dir, name), join(shown, name), name.slice(0, -'.json'.length));
    if (release === undefined) skipped += 1;
    else releases.push(release);
  }
  if (releases.length === 0)
    throw new ConfigurationError({
      message: 'the folder holds no canary report.',
      location: { file: shown },
      expected:
        'JSON files of `mixgate canary run --report json=FILE` or `mixgate canary judge --report json=FILE`, a release each',
    });
  return { releases, skipped };
}

async function readRelease(path: string, shown: string, name: string): Promise<Release | undefined> {
  if ((await stat(path)).isDirectory()) return undefined;
  const text = decodeText(await readFile(path), shown, MAX_BYTES);
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    throw new ConfigurationError({ message: 'not JSON.', location: { file: shown }, expected: 'a report of mixgate' });
  }
  if ((value as { readonly schema?: unknown } | null)?.schema !== REPORT_SCHEMA) return undefined;
  const problems = problemsOf('report', { value, locate: () => ({ file: shown }) });
  if (problems.length > 0) throw new ConfigurationError(problems.slice(0, 5));
  const gates = (value as unknown as { gates: { id: string; measurements: Measurement[] }[] }).gates;
  const measured = gates.find((gate) => gate.id === 'canary')?.measurements;
  return measured === undefined ? undefined : { name, metrics: metricsOf(measured) };
}

/** JSON has no infinity: bounds without end are null there. */
function metricsOf(measurements: readonly Measurement[]): Map<string, ReleaseMetric> {
  const metrics = new Map<string, ReleaseMetric>();
  const effects = new Map(measurements.filter((one) => one.segment === undefined).map((one) => [one.name, one]));
  for (const level of effects.values()) {
    const name = /^canary\.level\.(?<name>.+)$/.exec(level.name)?.groups?.['name'];
    if (name === undefined) continue;
    const effect = effects.get(`canary.${name}`);
    const [low, high] = (effect?.interval ?? [null, null]) as readonly [number | null, number | null];
    metrics.set(name, {
      statistic: level.method ?? '',
      baseline: level.baseline ?? undefined,
      candidate: level.candidate ?? undefined,
      n: level.n ?? 0,
      effect: effect?.value ?? undefined,
      // A report gives relative effects the unit 1; of metrics that have it themselves, effects are shown as they are.
      effectUnit: effect !== undefined && effect.unit !== level.unit ? 'relative' : 'absolute',
      interval: effect?.interval === undefined ? undefined : [low ?? Number.NEGATIVE_INFINITY, high ?? Number.POSITIVE_INFINITY],
      verdict: level.verdict,
    });
  }
  return metrics;
}
