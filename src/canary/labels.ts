import { readFile } from 'node:fs/promises';
import { decodeText } from '../config/document.ts';
import { problemsOf } from '../config/schema.ts';
import { ConfigurationError, type Problem } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import type { Table } from '../core/gate.ts';
import type { Json } from '../core/json.ts';
import type { CanaryLabelDocument } from '../generated/schemas.ts';
import { krippendorffAlpha } from '../stats/krippendorff.ts';
import { mean } from '../stats/summary.ts';
import { canaryFinding } from './rules.ts';
import type { CanaryPoint } from './run/points.ts';

export type LabelLine = CanaryLabelDocument & { readonly file: string; readonly line: number };

const MAX_LABELS = 1_000_000;
const MAX_BYTES = 256 * 1024 * 1024;
const MAX_PROBLEMS = 20;

/** Above this share of labels without an answer in the run, something is wrong with the files, not with single lines. */
const MANY_UNMATCHED = 0.2;

/** Label lines of one file. @param name the file as the user calls it. @throws ConfigurationError with file and line of every bad line */
export async function readLabels(path: string, name: string): Promise<readonly LabelLine[]> {
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'ENOENT' ? 'there is no such file' : cause.message;
    throw new ConfigurationError({
      message: `cannot be read: ${why}.`,
      location: { file: name },
      expected: 'NDJSON, a label a line',
    });
  });
  return parseLabels(decodeText(bytes, name, MAX_BYTES), name);
}

/** Reads labels, one a line of NDJSON. @throws ConfigurationError with every bad line, up to MAX_PROBLEMS */
export function parseLabels(text: string, file: string): readonly LabelLine[] {
  const labels: LabelLine[] = [];
  const problems: Problem[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    if (problems.length >= MAX_PROBLEMS) break;
    const location = { file, line: index + 1 };
    let value: Json;
    try {
      value = JSON.parse(line) as Json;
    } catch {
      problems.push({
        message: 'not a line of JSON.',
        location,
        expected: '{"prompt_id": "...", "arm": "candidate", "label": "bad"}',
      });
      continue;
    }
    const bad = problemsOf('canary-label', { value, locate: () => location });
    const label = value as unknown as CanaryLabelDocument;
    if (bad.length === 0) bad.push(...halves(label).map((problem) => ({ ...problem, location })));
    problems.push(...bad);
    if (bad.length === 0) labels.push({ ...label, ...location });
    if (labels.length > MAX_LABELS) throw new ConfigurationError({ message: `more than ${MAX_LABELS} labels.`, location });
  }
  if (problems.length > 0) throw new ConfigurationError(problems.slice(0, MAX_PROBLEMS));
  return labels;
}

/** What a label needs one of. */
function halves({ prompt_id, pair, label, score }: CanaryLabelDocument): Problem[] {
  return [
    ...(prompt_id === undefined && pair === undefined
      ? [{ message: 'the label does not say which answer it is of.', expected: '`prompt_id` or `pair`' }]
      : []),
    ...(label === undefined && score === undefined
      ? [{ message: 'the label says nothing.', expected: '`label` ("good" or "bad") or `score` (0 to 1)' }]
      : []),
  ];
}

export interface JoinedLabels {
  /** `label_bad` and `label_score` of the A/B block, one pair a prompt. */
  readonly points: readonly CanaryPoint[];
  readonly labels: number;
  readonly unmatched: readonly LabelLine[];
  /** Labels that a newer one of the same source replaced. */
  readonly replaced: number;
  /** Prompts with labels in both arms, and in one arm only. */
  readonly paired: number;
  readonly single: number;
  /** Answers with as many good labels as bad ones: no data. */
  readonly tied: number;
  readonly repeated: number;
  /** Share of pairs of labels of one answer that agree; undefined when no answer has two. */
  readonly agreement: number | undefined;
  readonly alpha: number | undefined;
}

interface Answer {
  good: number;
  bad: number;
  readonly scores: number[];
}

/**
 * Joins labels to the answers of a run. An answer is known by its prompt and arm: a prompt that was sent several times is one item, since
 * its answers are not independent. `label_bad` is the majority, `label_score` the mean of the scores.
 */
export function joinLabels(run: readonly CanaryPoint[], lines: readonly LabelLine[]): JoinedLabels {
  const carriers = new Map<string, CanaryPoint>();
  const promptOf = new Map<number, string>();
  for (const point of run) {
    if (point.tags['block'] !== 'ab' || point.prompt === '' || point.pair < 0) continue;
    promptOf.set(point.pair, point.prompt);
    const known = carriers.get(point.prompt);
    if (known === undefined || point.pair < known.pair) carriers.set(point.prompt, point);
  }
  const unmatched: LabelLine[] = [];
  // One vote a source and answer, the newest; lines without a source are votes of their own.
  const votes = new Map<string, LabelLine & { readonly prompt: string }>();
  let replaced = 0;
  for (const line of lines) {
    const byPair = line.pair === undefined ? undefined : promptOf.get(line.pair);
    const prompt = line.prompt_id ?? byPair;
    if (prompt === undefined || !carriers.has(prompt) || (line.pair !== undefined && byPair !== prompt)) {
      unmatched.push(line);
      continue;
    }
    const who = line.source === undefined ? [line.file, line.line] : [line.source];
    const key = JSON.stringify([prompt, line.arm, line.label === undefined, ...who]);
    const before = votes.get(key);
    if (before !== undefined) replaced += 1;
    if (before === undefined || time(line) >= time(before)) votes.set(key, { ...line, prompt });
  }
  const answers = new Map<string, { baseline?: Answer; candidate?: Answer }>();
  for (const vote of votes.values()) {
    const arms = answers.get(vote.prompt) ?? {};
    arms[vote.arm] ??= { good: 0, bad: 0, scores: [] };
    const answer = arms[vote.arm]!;
    if (vote.label !== undefined) answer[vote.label] += 1;
    if (vote.score !== undefined) answer.scores.push(vote.score);
    answers.set(vote.prompt, arms);
  }
  const all = [...answers.values()]
    .flatMap(({ baseline, candidate }) => [baseline, candidate])
    .filter((one) => one !== undefined);
  return {
    points: [...answers].flatMap(([prompt, arms]) =>
      (['baseline', 'candidate'] as const).flatMap((arm) => labelPoints(carriers.get(prompt)!, arm, arms[arm])),
    ),
    labels: lines.length,
    unmatched,
    replaced,
    paired: [...answers.values()].filter((arms) => arms.baseline !== undefined && arms.candidate !== undefined).length,
    single: [...answers.values()].filter((arms) => arms.baseline === undefined || arms.candidate === undefined).length,
    tied: all.filter(({ good, bad }) => good === bad && good > 0).length,
    ...agreementOf(all),
  };
}

function time(line: LabelLine): number {
  return line.at === undefined ? Number.NEGATIVE_INFINITY : Date.parse(line.at);
}

function labelPoints(carrier: CanaryPoint, arm: 'baseline' | 'candidate', answer: Answer | undefined): CanaryPoint[] {
  if (answer === undefined) return [];
  const groups = Object.fromEntries(
    ['segment', 'domain', 'language', 'task'].flatMap((name) =>
      carrier.tags[name] === undefined ? [] : [[name, carrier.tags[name]]],
    ),
  );
  const at = { pair: carrier.pair, prompt: carrier.prompt, tags: { ...groups, block: 'ab', arm } };
  return [
    ...(answer.good === answer.bad ? [] : [{ metric: 'label_bad', value: answer.bad > answer.good ? 1 : 0, ...at }]),
    ...(answer.scores.length === 0 ? [] : [{ metric: 'label_score', value: mean(answer.scores), ...at }]),
  ];
}

function agreementOf(answers: readonly Answer[]): Pick<JoinedLabels, 'agreement' | 'alpha' | 'repeated'> {
  let [agree, pairs] = [0, 0];
  for (const { good, bad } of answers) {
    agree += (good * (good - 1) + bad * (bad - 1)) / 2;
    pairs += ((good + bad) * (good + bad - 1)) / 2;
  }
  return {
    repeated: answers.filter(({ good, bad }) => good + bad >= 2).length,
    agreement: pairs === 0 ? undefined : agree / pairs,
    alpha: krippendorffAlpha(answers.map(({ good, bad }) => ({ yes: bad, no: good }))),
  };
}

/** Which label metrics the labels allow. */
export function labelMetrics({ points }: JoinedLabels): ('label_bad' | 'label_score')[] {
  return (['label_bad', 'label_score'] as const).filter((name) => points.some((point) => point.metric === name));
}

export function labelTable(joined: JoinedLabels): Table {
  const { labels, unmatched, replaced, paired, single, tied, repeated, agreement, alpha } = joined;
  const count = (value: number, what: string): [string, string] => [what, String(value)];
  return {
    title: 'Labels',
    columns: ['what', 'value'],
    rows: [
      count(labels, 'labels read'),
      count(unmatched.length, 'of answers that are not in the run'),
      count(replaced, 'replaced by a newer one of the same source'),
      count(paired, 'prompts with labels in both arms'),
      count(single, 'prompts with labels in one arm, not compared'),
      count(tied, 'answers with as many good labels as bad, no data'),
      count(repeated, 'answers with several labels'),
      ['agreement of labels of one answer', agreement === undefined ? '-' : `${(100 * agreement).toFixed(1)} %`],
      ["Krippendorff's alpha", alpha === undefined ? '-' : alpha.toFixed(3)],
    ],
    note: 'The majority of its labels decides about an answer. Alpha is 1 for perfect agreement and 0 for what chance gives.',
  };
}

export function unmatchedFindings({ unmatched, labels }: JoinedLabels): Finding[] {
  const [first] = unmatched;
  if (first === undefined) return [];
  const many = unmatched.length > MANY_UNMATCHED * labels;
  return [
    canaryFinding('canary-labels-unmatched', {
      level: many ? 'warning' : 'note',
      blocking: false,
      message: `${unmatched.length} of ${labels} labels are of answers that are not in the run.`,
      location: { file: first.file, line: first.line },
      evidence: unmatched.slice(0, 5).map((line) => `${line.file}:${line.line} ${line.prompt_id ?? `pair ${line.pair}`}`),
      fix: 'Give the labels of this run, with the prompt ids of its corpus.',
    }),
  ];
}
