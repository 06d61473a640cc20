import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import type { Progress } from '../../core/context.ts';
import { ExternalError } from '../../core/errors.ts';
import { exec } from '../../tools/exec.ts';
import { packageRoot } from '../../tools/package-root.ts';
import { k6Problem } from '../samples.ts';
import type { CanaryPlan } from './plan.ts';
import { type PointSet, parsePoints } from './points.ts';

/** Samples above this are refused: a run of 100,000 pairs stays below it. */
const MAX_SAMPLE_BYTES = 2 * 1024 ** 3;

export interface K6Run {
  readonly samples: PointSet;
  /** Why the run did not end well. */
  readonly aborted: string | undefined;
}

export interface K6Options {
  readonly k6: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Keeps the sample file there. */
  readonly keepSamples?: string;
  /** Adds to that file instead of writing it anew. */
  readonly append?: boolean;
}

/** Runs the paired script with a plan and reads its samples. k6 writes into a temporary folder that is removed afterwards. */
export async function runK6(plan: CanaryPlan, options: K6Options): Promise<K6Run> {
  const dir = await mkdtemp(join(tmpdir(), 'mixgate-canary-'));
  const appended = options.append === true ? options.keepSamples : undefined;
  const samplesFile = (appended === undefined ? options.keepSamples : undefined) ?? join(dir, 'samples.ndjson');
  try {
    const planFile = join(dir, 'plan.json');
    // The plan may hold a token in its headers: nobody else may read it.
    await writeFile(planFile, JSON.stringify(plan), { mode: 0o600 });
    const script = join(packageRoot(), 'canary/k6/paired.js');
    const stop = watchProgress(samplesFile, plan.iterations.length, options.progress);
    let result: Awaited<ReturnType<typeof exec>>;
    try {
      result = await exec(
        options.k6,
        [
          'run',
          '--quiet',
          '--no-color',
          '--no-usage-report',
          '--summary-mode=disabled',
          '--log-format=raw',
          '--out',
          `json=${samplesFile}`,
          script,
        ],
        {
          cwd: dir,
          env: { PATH: process.env['PATH'], HOME: dir, MIXGATE_PLAN: planFile, NO_COLOR: '1' },
          timeoutMs: (plan.maxDurationS + 60) * 1000,
          signal: options.signal,
        },
      );
    } finally {
      await stop();
    }
    const problem = k6Problem(result.code);
    const aborted = result.timedOut
      ? `it was still running ${plan.maxDurationS + 60} s after its start`
      : problem && `${problem}: ${lastLine(result.stderr)}`;
    // Wrong configuration and script errors are ours or the machine's, not the candidate's.
    if (result.code === 104 || result.code === 107)
      throw new ExternalError({
        message: `the load generator failed: ${aborted}.`,
        fix: 'run with MIXGATE_DEBUG=1, and `mixgate doctor` to check k6.',
      });
    if (appended !== undefined) await pipeline(createReadStream(samplesFile), createWriteStream(appended, { flags: 'a' }));
    return { samples: await readPoints(samplesFile), aborted };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** The points of a canary run in a k6 sample file, read line by line. */
export async function readPoints(file: string): Promise<PointSet> {
  const size = await stat(file).then(
    (info) => info.size,
    () => 0,
  );
  if (size > MAX_SAMPLE_BYTES) throw new ExternalError(`the sample file is ${size} bytes; at most ${MAX_SAMPLE_BYTES} are read.`);
  if (size === 0) return { points: [], droppedIterations: 0, badLines: 0 };
  // Only our own metrics are kept: k6 writes about twenty of its own for each request.
  const kept: string[] = [];
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.includes('"mixgate_') || line.includes('"dropped_iterations"')) kept.push(line);
  }
  return parsePoints(kept);
}

/** Draws how many pairs are done, from the growing sample file. */
function watchProgress(file: string, iterations: number, progress: Progress): () => Promise<void> {
  let offset = 0;
  let done = 0;
  let rest = '';
  let busy = false;
  const look = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    try {
      const size = (await stat(file)).size;
      if (size > offset) {
        for await (const chunk of createReadStream(file, { start: offset, end: size - 1, encoding: 'utf8' })) {
          const text = rest + String(chunk);
          done += text.split('"metric":"iterations","type":"Point"').length - 1;
          rest = text.slice(-35).includes('"metric":"iterations","type":"Point"') ? '' : text.slice(-35);
        }
        offset = size;
        progress.fraction(done, iterations, `${done} of ${iterations} pairs`);
      }
    } catch {
      // The file isn't there yet.
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void look(), 500);
  return async () => {
    clearInterval(timer);
  };
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.slice(0, 300) ?? '';
}
