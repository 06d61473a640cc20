import type { Verdict } from '../../core/verdict.ts';
import { judgeCase } from '../judge/judge.ts';
import type { CaseInput, CaseResult } from '../judge/types.ts';
import { type LiveWindow, windowCase } from './analysis.ts';
import { asProblem, HttpProblem, parseJson } from './http.ts';
import { judgeKayenta } from './kayenta.ts';
import { judgeWindow } from './windows.ts';

/** One judgement. Bodies come as they were sent: a large one takes as long to parse as other requests may wait. */
export type Work =
  | { readonly kind: 'case'; readonly body: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'kayenta'; readonly body: Uint8Array<ArrayBuffer>; readonly alpha: number | undefined }
  | ({ readonly kind: 'window' } & LiveWindow);

export interface Judged {
  readonly verdict: Verdict;
  readonly reason: string;
  /** The answer's body, JSON in UTF-8. */
  readonly json: Uint8Array<ArrayBuffer>;
}

/** What an HttpProblem is made of: the error itself does not survive the way between threads. */
export type Refused = Pick<HttpProblem, 'status' | 'message' | 'details'>;

const MAX_MESSAGE = 2_000;
const MAX_DETAILS = 100;

/** Judges; the body of the thread, without the messaging. Input that cannot be judged is refused, never thrown. */
export function judgeWork(work: Work): Judged | Refused {
  try {
    return judged(work);
  } catch (error) {
    // A body of 16 MiB can be wrong in a million places.
    const { status, message, details } = asProblem(error);
    return { status, message: message.slice(0, MAX_MESSAGE), details: details.slice(0, MAX_DETAILS) };
  }
}

function judged(work: Work): Judged {
  if (work.kind === 'kayenta') {
    const result = judgeKayenta(parseJson(work.body), work.alpha);
    const { classification, classificationReason } = result.score;
    const verdict = classification === 'Pass' ? 'pass' : classification === 'Fail' ? 'fail' : 'inconclusive';
    return { verdict, reason: classificationReason, json: encode(result) };
  }
  if (work.kind === 'case') {
    const result = judgeCase(parseJson(work.body) as CaseInput);
    if (result.verdict === 'error') throw new HttpProblem(400, result.reason, result.reason.split('; '));
    return { verdict: result.verdict, reason: result.reason, json: encode(result) };
  }
  const result = judgeWindow(windowCase(work.answers), work.alpha, work.looks);
  if (result.verdict === 'error') throw new HttpProblem(400, result.reason);
  return { verdict: result.verdict, reason: result.reason, json: encode(withConditions(result)) };
}

/** The verdict also as two conditions, for controllers that compare one value: undecided is neither. */
function withConditions(result: CaseResult): CaseResult & { readonly success: boolean; readonly failure: boolean } {
  return { ...result, success: result.verdict === 'pass' || result.verdict === 'warn', failure: result.verdict === 'fail' };
}

function encode(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${JSON.stringify(value)}\n`);
}

/** The bytes of a piece of work, which are handed over to the thread and not copied. */
export function buffersOf(work: Work): ArrayBuffer[] {
  if (work.kind !== 'window') return [work.body.buffer];
  return work.answers.flatMap(({ baseline, candidate }) => [baseline.answer.body.buffer, candidate.answer.body.buffer]);
}
