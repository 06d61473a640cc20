// Drives one case for real and keeps the raw samples, so that a changed judge can be tried on them at no cost.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile } from '../../src/canary/gate.ts';
import type { PromptRecord } from '../../src/canary/run/corpus.ts';
import { runK6 } from '../../src/canary/run/k6.ts';
import { buildPlan } from '../../src/canary/run/plan.ts';
import { silentProgress } from '../../src/core/context.ts';
import type { CanaryProfileDocument } from '../../src/generated/schemas.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { folderTree } from '../../src/workspace/tree.ts';
import type { Case } from './cases.ts';
import { corpusHalves } from './corpus.ts';
import { MODEL, prefer, startBaseline, startCandidate, startServer, TOKEN } from './serving.ts';
import { type Answer, ask, constructed, measured, type Truth, truthOf } from './truth.ts';

export const SEED = 6;
const CACHE = process.env['MIXGATE_DEGRADATIONS'] ?? join(tmpdir(), 'mixgate-degradations');

/** What is known of a driven case beside its samples. */
export interface Collected {
  readonly id: string;
  readonly seconds: number;
  readonly aborted?: string;
}

export const samplesFile = (tried: Case): string => join(CACHE, `${tried.id}.ndjson`);
export const recordFile = (tried: Case): string => join(CACHE, `${tried.id}.json`);
export const truthFile = (tried: Case): string => join(CACHE, `${tried.id}.truth.json`);

export async function benchProfile(): Promise<{ profile: CanaryProfileDocument; file: string }> {
  return loadProfile(folderTree(import.meta.dirname), 'profile.yaml');
}

/** Runs a case: baseline and candidate are started anew, k6 drives both, and the raw samples are kept. */
export async function collect(tried: Case): Promise<Collected> {
  mkdirSync(CACHE, { recursive: true });
  prefer(process.pid);
  const { profile } = await benchProfile();
  const halves = await corpusHalves();
  const work = mkdtempSync(join(tmpdir(), 'mixgate-degradation-'));
  try {
    await using baseline = await startBaseline(join(work, 'baseline'), tried);
    await using candidate = await startCandidate(tried, {
      work: join(work, 'candidate'),
      seed: SEED,
      segmentOf: halves.segmentOf,
    });
    const plan = buildPlan({
      profile,
      prompts: halves.canary,
      baseline: baseline.url,
      candidate: candidate.url,
      seed: SEED,
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    const started = performance.now();
    const partial = `${samplesFile(tried)}.partial`;
    rmSync(partial, { force: true });
    const preferring = setTimeout(preferChildren, 300);
    const run = await runK6(plan, {
      k6: (await resolveTool('k6')).path,
      progress: silentProgress,
      signal: new AbortController().signal,
      keepSamples: partial,
    });
    clearTimeout(preferring);
    const seconds = (performance.now() - started) / 1000;
    keepOwn(partial);
    renameSync(partial, samplesFile(tried));
    const record: Collected = { id: tried.id, seconds, ...(run.aborted === undefined ? {} : { aborted: run.aborted }) };
    writeFileSync(recordFile(tried), JSON.stringify(record, undefined, 2));
    return record;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** k6 is started by the product, in a session of its own. */
function preferChildren(): void {
  const children = `/proc/${process.pid}/task/${process.pid}/children`;
  if (existsSync(children)) for (const pid of readFileSync(children, 'utf8').trim().split(' ')) prefer(Number(pid));
}

/** Keeps only the lines the judge reads: k6 writes about twenty of its own for each request. */
function keepOwn(file: string): void {
  const lines = readFileSync(file, 'utf8').split('\n');
  writeFileSync(
    file,
    `${lines.filter((line) => line.includes('"mixgate_') || line.includes('"dropped_iterations"')).join('\n')}\n`,
  );
}

/** Measures what the case really does, on the held-out prompts; or says what is known by construction. */
export async function measureTruth(tried: Case): Promise<Truth> {
  mkdirSync(CACHE, { recursive: true });
  const { profile } = await benchProfile();
  const { heldOut, segmentOf } = await corpusHalves();
  const options = { maxTokens: profile.maxTokens ?? 16, stop: profile.stop ?? [] };
  const work = mkdtempSync(join(tmpdir(), 'mixgate-degradation-'));
  try {
    const before = await baselineAnswers(join(work, 'baseline'), heldOut, options);
    const known = constructed(tried, (segment) => {
      const times = before.filter((answer) => segment === undefined || answer.segment === segment).map((answer) => answer.ms);
      return times.reduce((sum, value) => sum + value, 0) / times.length;
    });
    let truth: Truth;
    if (known !== undefined) truth = truthOf(known, 'by construction');
    else {
      await using candidate = await startCandidate(tried, { work: join(work, 'candidate'), seed: SEED, segmentOf });
      truth = truthOf(measured(before, await ask(candidate.url, heldOut, options)), `${heldOut.length} held-out prompts`);
    }
    writeFileSync(truthFile(tried), JSON.stringify(truth, undefined, 2));
    return truth;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The baseline's answers to the held-out prompts: the same for every case, so asked once. */
async function baselineAnswers(
  work: string,
  prompts: readonly PromptRecord[],
  options: { maxTokens: number; stop: readonly string[] },
): Promise<readonly Answer[]> {
  const file = join(CACHE, 'baseline-answers.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Answer[];
  await using server = await startServer(work, 'baseline', MODEL);
  const answers = await ask(server.url, prompts, options);
  writeFileSync(file, JSON.stringify(answers));
  return answers;
}
