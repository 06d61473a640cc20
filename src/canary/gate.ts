import { appendFile } from 'node:fs/promises';
import type { Section } from '../config/load.ts';
import { checked } from '../config/schema.ts';
import { nearest } from '../config/suggest.ts';
import { ConfigurationError, ExternalError } from '../core/errors.ts';
import type { GateResult } from '../core/gate.ts';
import type { GateContext } from '../core/gate-context.ts';
import type { CanaryProfileDocument } from '../generated/schemas.ts';
import { glob, readText, readYaml, type Tree } from '../workspace/tree.ts';
import { analyseCanary } from './run/analyse.ts';
import { codePasses, requireCodeSandbox } from './run/code-run.ts';
import { type PromptRecord, parseCorpus } from './run/corpus.ts';
import { priceAgeDays } from './run/cost.ts';
import { type CodeRunner, derivePoints, pointLine } from './run/derive.ts';
import { runK6 } from './run/k6.ts';
import { CANARY_METRICS } from './run/metrics.ts';
import { buildPlan } from './run/plan.ts';

export interface CanaryTargets {
  readonly baseline: string;
  readonly candidate: string;
  /** Sent as a bearer token to both; never reported. */
  readonly token?: string | undefined;
  /** Keeps k6's sample file there. */
  readonly keepSamples?: string | undefined;
  /** Who named the profile, for errors; default mixgate.yaml. */
  readonly profileFrom?: string | undefined;
}

export interface LoadedProfile {
  readonly profile: CanaryProfileDocument;
  readonly file: string;
  locate(metricIndex: number): { readonly file: string; readonly line?: number };
}

export async function loadProfile(tree: Tree, file: string, namedBy?: string): Promise<LoadedProfile> {
  const source = await readYaml(tree, file, namedBy);
  const profile = checked('canary-profile', source);
  const names = profile.metrics.map((metric) => metric.name);
  const repeated = names.findIndex((name, index) => names.indexOf(name) !== index);
  if (repeated >= 0)
    throw new ConfigurationError({
      message: `the metric ${names[repeated]} is listed twice.`,
      location: source.locate(['metrics', repeated]),
      fix: 'keep one entry; `bySegment: true` adds the segments.',
    });
  return { profile, file, locate: (index) => source.locate(['metrics', Math.max(0, index)]) };
}

/** `canary run` can only judge what its script measures. */
function checkMeasured({ profile, locate }: LoadedProfile): void {
  const known = CANARY_METRICS.map((metric) => metric.name);
  const problems = profile.metrics.flatMap(({ name }, index) => {
    if (known.includes(name)) return [];
    const guess = nearest(name, known);
    return [
      {
        message: `the metric ${JSON.stringify(name)} is not one that a canary run measures.`,
        location: locate(index),
        expected: `one of ${known.join(', ')}`,
        ...(guess === undefined ? {} : { fix: `did you mean \`${guess}\`?` }),
      },
    ];
  });
  if (problems.length > 0) throw new ConfigurationError(problems);
}

export async function loadCorpus(tree: Tree, patterns: readonly string[]): Promise<readonly PromptRecord[]> {
  const files = await glob(tree, patterns);
  if (files.length === 0)
    throw new ConfigurationError({
      message: `no corpus file matches ${patterns.join(', ')}.`,
      fix: 'correct `canary.corpus` in mixgate.yaml, or add NDJSON files of prompts.',
    });
  return parseCorpus(await Promise.all(files.map(async (file) => ({ file, text: await readText(tree, file) }))));
}

/** Drives both endpoints with k6 and judges what it measured. */
export async function runCanaryGate(
  context: Pick<GateContext, 'head' | 'now' | 'seed' | 'progress' | 'signal' | 'tool'>,
  section: Section<'canary'>,
  targets: CanaryTargets,
): Promise<GateResult> {
  const loaded = await loadProfile(context.head, section.profile, targets.profileFrom);
  const { profile, file, locate } = loaded;
  checkMeasured(loaded);
  const prompts = section.corpus === undefined ? await shippedCorpus() : await loadCorpus(context.head, section.corpus);
  if (profile.codeRuns === true) await requireCodeSandbox();
  if (profile.prices !== undefined) priceAgeDays(profile.prices, context.now);
  for (const url of [targets.baseline, targets.candidate]) await checkEndpoint(url, context.signal);
  const plan = buildPlan({
    profile,
    prompts,
    baseline: trimUrl(targets.baseline),
    candidate: trimUrl(targets.candidate),
    seed: context.seed,
    ...(targets.token === undefined ? {} : { headers: { authorization: `Bearer ${targets.token}` } }),
  });
  const k6 = await context.tool('k6');
  context.progress.step(
    `canary: ${plan.iterations.length} pairs, ${new Set(prompts.map((prompt) => prompt.segment)).size} segments, one request at a time`,
  );
  const run = await runK6(plan, {
    k6: k6.path,
    progress: context.progress,
    signal: context.signal,
    ...(targets.keepSamples === undefined ? {} : { keepSamples: targets.keepSamples }),
  });
  const runCode: CodeRunner | undefined =
    profile.codeRuns === true ? (answer, test) => codePasses(answer, test, context.signal) : undefined;
  const derived = await derivePoints(run.samples.points, profile, prompts, runCode);
  if (targets.keepSamples !== undefined && derived.length > 0)
    await appendFile(targets.keepSamples, `${derived.map(pointLine).join('\n')}\n`);
  return analyseCanary({
    samples: { ...run.samples, points: [...run.samples.points, ...derived] },
    now: context.now,
    profile,
    profileFile: file,
    locate,
    seed: context.seed,
    ...(run.aborted === undefined ? {} : { aborted: run.aborted }),
  });
}

async function shippedCorpus(): Promise<readonly PromptRecord[]> {
  const [{ folderTree }, { packageRoot }] = [await import('../workspace/tree.ts'), await import('../tools/package-root.ts')];
  return loadCorpus(folderTree(packageRoot()), ['canary/corpus/*.ndjson']);
}

/** Fails early and clearly when an endpoint is away, instead of with a run full of errors. */
async function checkEndpoint(url: string, signal: AbortSignal): Promise<void> {
  if (!/^https?:\/\//.test(url))
    throw new ConfigurationError({
      message: `${JSON.stringify(url)} is not an endpoint.`,
      expected: 'an http or https URL such as http://127.0.0.1:8081',
    });
  try {
    const response = await fetch(`${trimUrl(url)}/v1/models`, { signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]) });
    await response.body?.cancel();
    if (response.status >= 500) throw new Error(`HTTP ${response.status}`);
  } catch (cause) {
    const reason = cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : String(cause);
    throw new ExternalError(
      {
        message: `the endpoint ${url} does not answer: ${reason}.`,
        fix: 'start it (`mixgate-runtime serve --config FILE`), or correct the URL.',
      },
      { cause },
    );
  }
}

function trimUrl(url: string): string {
  return url.replace(/\/+$/, '');
}
