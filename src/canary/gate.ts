import { randomUUID } from 'node:crypto';
import { appendFile } from 'node:fs/promises';
import type { Section } from '../config/load.ts';
import { readText, readYaml } from '../config/read.ts';
import { checked } from '../config/schema.ts';
import { nearest } from '../config/suggest.ts';
import { ConfigurationError, ExternalError, InternalError, type Problem } from '../core/errors.ts';
import type { GateResult } from '../core/gate.ts';
import type { GateContext } from '../core/gate-context.ts';
import type { CanaryProfileDocument } from '../generated/schemas.ts';
import { glob, type Tree } from '../workspace/tree.ts';
import { type JudgeClient, type JudgeSettings, judgeClient, judgeKey } from './judge-model/client.ts';
import { noisePoints } from './judge-model/noise.ts';
import { fillTemplate, JUDGE_SCORES, judgeTemplate } from './judge-model/prompts.ts';
import { scoreAnswers } from './judge-model/score-answers.ts';
import { analyseCanary } from './run/analyse.ts';
import { codePasses, requireCodeSandbox } from './run/code-run.ts';
import { type PromptRecord, parseCorpus } from './run/corpus.ts';
import { priceAgeDays } from './run/cost.ts';
import { type CodeRunner, derivePoints, pointLine } from './run/derive.ts';
import { runK6 } from './run/k6.ts';
import { CANARY_METRICS } from './run/metrics.ts';
import { buildPlan, type PlanStep, planRounds } from './run/plan.ts';
import type { PointSet } from './run/points.ts';

export interface CanaryTargets {
  readonly baseline: string;
  readonly candidate: string;
  /** Sent as a bearer token to both; never reported. */
  readonly token?: string | undefined;
  /** Keeps k6's sample file there. */
  readonly keepSamples?: string | undefined;
  /** Who named the profile, for errors; default mixgate.yaml. */
  readonly profileFrom?: string | undefined;
  /** Where the key of a judge model is looked up; default: there is none. */
  readonly env?: NodeJS.ProcessEnv;
  /** Where the profile is read from, when not from the working tree: the base of a pull request. */
  readonly profileTree?: Tree | undefined;
}

export interface LoadedProfile {
  readonly profile: CanaryProfileDocument;
  readonly file: string;
  locate(metricIndex: number): { readonly file: string; readonly line?: number };
}

/** Reads and checks a canary profile. @throws ConfigurationError */
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
  const problems: Problem[] = profile.metrics.flatMap(({ name }, index) => {
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
  problems.push(...unaskedScores(profile, locate));
  if (profile.maxPairs !== undefined && profile.maxPairs > profile.pairs && profile.judge !== undefined)
    problems.push({
      message: '`maxPairs` does not go with `judge`: each round would ask the judge model about every answer again.',
      location: locate(0),
      fix: 'raise `pairs` instead.',
    });
  if (problems.length > 0) throw new ConfigurationError(problems);
}

/** Scores that a judge model gives need one that is asked for them. */
function unaskedScores(profile: CanaryProfileDocument, locate: LoadedProfile['locate']): Problem[] {
  return profile.metrics.flatMap(({ name }, index) =>
    JUDGE_SCORES.some((score) => score === name) && profile.judge?.scores.some((score) => score === name) !== true
      ? [
          {
            message: `the metric ${name} needs a judge model that is asked for it.`,
            location: locate(index),
            fix: `add \`judge: { url: ..., model: ..., scores: [${name}] }\` to the profile.`,
          },
        ]
      : [],
  );
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
  const loaded = await loadProfile(targets.profileTree ?? context.head, section.profile, targets.profileFrom);
  const { profile, file, locate } = loaded;
  checkMeasured(loaded);
  if (
    profile.judge !== undefined &&
    targets.profileTree === undefined &&
    /^pull_request/.test(targets.env?.['GITHUB_EVENT_NAME'] ?? '')
  )
    throw new ConfigurationError({
      message: 'the profile names a judge model, and in a pull request anyone could have put it there.',
      location: { file },
      fix: 'give `--base REF` (for example origin/main): the profile is then read as the base has it.',
    });
  const prompts = section.corpus === undefined ? await shippedCorpus() : await loadCorpus(context.head, section.corpus);
  if (profile.codeRuns === true) await requireCodeSandbox();
  if (profile.prices !== undefined) priceAgeDays(profile.prices, context.now);
  const judge =
    profile.judge === undefined
      ? undefined
      : { settings: profile.judge, client: await openJudge(profile.judge, targets, context) };
  for (const url of [targets.baseline, targets.candidate]) await checkEndpoint(url, context.signal);
  const plan = buildPlan({
    profile,
    prompts,
    baseline: trimUrl(targets.baseline),
    candidate: trimUrl(targets.candidate),
    seed: context.seed,
    ...(targets.token === undefined ? {} : { headers: { authorization: `Bearer ${targets.token}` } }),
  });
  const rounds = planRounds(plan, profile.pairs);
  const k6 = await context.tool('k6');
  context.progress.step(
    `canary: ${rounds[0]!.iterations.length} pairs, ${new Set(prompts.map((prompt) => prompt.segment)).size} segments, one request at a time`,
  );
  const runCode: CodeRunner | undefined =
    profile.codeRuns === true ? (answer, test) => codePasses(answer, test, context.signal) : undefined;
  const keep = targets.keepSamples === undefined ? {} : { keepSamples: targets.keepSamples };
  let collected: PointSet = { points: [], droppedIterations: 0, badLines: 0 };
  for (const [index, round] of rounds.entries()) {
    const run = await runK6(round, {
      k6: k6.path,
      progress: context.progress,
      signal: context.signal,
      append: index > 0,
      ...keep,
    });
    collected = joined(collected, run.samples);
    const derived = await derivePoints(collected.points, profile, prompts, runCode);
    const scoring =
      judge === undefined
        ? undefined
        : await scoreAnswers({
            ...judge,
            points: collected.points,
            prompts,
            template: judgeTemplate,
            fence: () => randomUUID(),
            progress: context.progress,
          });
    if (scoring !== undefined) derived.push(...scoring.points, ...noisePoints(scoring.noises));
    const pairs = new Set(rounds.slice(0, index + 1).flatMap(({ iterations }) => iterations.filter(judgedStep).map(pairOf))).size;
    const result = analyseCanary({
      samples: { ...collected, points: [...collected.points, ...derived] },
      now: context.now,
      profile: { ...profile, pairs },
      profileFile: file,
      locate,
      seed: context.seed,
      looks: rounds.length,
      look: index + 1,
      ...(run.aborted === undefined ? {} : { aborted: run.aborted }),
    });
    const last = index === rounds.length - 1;
    if (last || result.verdict !== 'inconclusive' || result.findings.some(({ ruleId }) => ruleId === 'canary-run-invalid')) {
      // Of derived points only the last are kept: each round derives those of the rounds before again.
      if (targets.keepSamples !== undefined && derived.length > 0)
        await appendFile(targets.keepSamples, `${derived.map(pointLine).join('\n')}\n`);
      return result;
    }
    context.progress.step(
      `canary: ${pairs} pairs are not enough to decide; going on to ${pairs + rounds[index + 1]!.iterations.length}`,
    );
  }
  throw new InternalError('a canary plan has no rounds');
}

const judgedStep = (step: PlanStep): boolean => step.block === 'ab';
const pairOf = (step: PlanStep): number => step.pair;

function joined(one: PointSet, other: PointSet): PointSet {
  return {
    points: [...one.points, ...other.points],
    droppedIterations: one.droppedIterations + other.droppedIterations,
    badLines: one.badLines + other.badLines,
  };
}

/** A judge that is there and takes the key, before a run that would be in vain. */
async function openJudge(
  settings: JudgeSettings,
  targets: CanaryTargets,
  context: Pick<GateContext, 'signal' | 'progress'>,
): Promise<JudgeClient> {
  const client = judgeClient(settings, judgeKey(settings, targets.env ?? {}), context.signal);
  const probe = { id: 'probe', segment: 'probe', prompt: 'What is 2 + 2?' };
  const first = await client.poll(fillTemplate(judgeTemplate('hallucination'), probe, '4', randomUUID()));
  if (first === 'unanswered')
    throw new ExternalError({
      message: 'the judge model does not answer.',
      fix: 'start it, correct `judge.url` in the profile, or raise `judge.timeoutMs`.',
    });
  if (first === 'unparsable')
    context.progress.warn(
      'the judge model did not answer a trial question as asked ({"answer": true|false}); its scores may be no data.',
    );
  return client;
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
