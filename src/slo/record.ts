import { appendFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigurationError, ExternalError, messageOf } from '../core/errors.ts';
import { readBounded } from '../core/read-bounded.ts';
import { sampleLine } from './exposition.ts';

/** A process whose /metrics is recorded. */
export interface RecordTarget {
  readonly url: string;
  /** Added to every sample, e.g. {role: 'candidate'}: how `--match` tells targets apart. */
  readonly labels: Readonly<Record<string, string>>;
}

const MAX_BYTES = 8 * 1024 * 1024;
const TIMEOUT_MS = 5000;

/**
 * One snapshot of a target's /metrics as text that `mixgate slo gate --samples` reads: a line `# scrape <unix seconds>`, then the
 * samples with the target's labels added. Comments are left out.
 * @param time Unix time in ms
 */
export function snapshotText(exposition: string, labels: RecordTarget['labels'], time: number): string {
  const added = Object.keys(labels)
    .sort()
    .map((label) => {
      if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label))
        throw new ConfigurationError({
          message: `${JSON.stringify(label)} is not a label name.`,
          expected: 'letters, digits and underscores',
        });
      return `${label}=${JSON.stringify(labels[label])}`;
    })
    .join(',');
  const lines = [`# scrape ${time / 1000}`];
  for (const line of exposition.split('\n')) {
    const sample = sampleLine(line);
    if (sample === undefined) continue;
    const own = sample.labels.replace(/,\s*$/, '');
    const all = [own, added].filter((part) => part !== '').join(',');
    lines.push(`${sample.name}${all === '' ? '' : `{${all}}`} ${sample.value}`);
  }
  return `${lines.join('\n')}\n`;
}

/**
 * Records /metrics of targets into a file until the signal aborts: one snapshot at once (before the load starts), one every interval, one
 * at the end (after the load), so that counters are seen from their first to their last value.
 * @param intervalMs time between snapshots in ms
 * @throws ExternalError when a target can't be read at the start or the end; misses in between are left out
 */
export async function recordMetrics(
  targets: readonly RecordTarget[],
  file: string,
  intervalMs: number,
  signal: AbortSignal,
  now: () => number,
): Promise<{ readonly snapshots: number; readonly missed: number }> {
  let snapshots = 0;
  let missed = 0;
  const round = async (strict: boolean): Promise<void> => {
    for (const target of targets) {
      try {
        const text = await scrape(target.url);
        await appendFile(file, snapshotText(text, target.labels, now()));
        snapshots += 1;
      } catch (error) {
        if (strict || error instanceof ConfigurationError) throw error;
        missed += 1;
      }
    }
  };
  await round(true);
  while (!signal.aborted) {
    // An abort ends the wait.
    await sleep(intervalMs, undefined, { signal }).catch(() => {});
    if (!signal.aborted) await round(false);
  }
  await round(true);
  return { snapshots, missed };
}

async function scrape(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), headers: { accept: 'text/plain' } });
    if (!response.ok) {
      await response.body?.cancel();
      throw new Error(`it answered ${response.status}`);
    }
    const tooLarge = (): Error => new Error(`it answered with more than ${MAX_BYTES} bytes`);
    return (await readBounded(response.body, MAX_BYTES, tooLarge)).toString('utf8');
  } catch (cause) {
    throw new ExternalError(
      {
        message: `the metrics of ${url} cannot be read: ${messageOf(cause)}.`,
        fix: 'check that the runtime is up and serves /metrics.',
      },
      { cause },
    );
  }
}
