import { InternalError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import { pathText, valueAt } from '../domain.ts';
import type { Counterexample } from '../prove.ts';
import { decode } from './decode.ts';
import type { InputArray, Slice } from './formula.ts';
import type { Question } from './questions.ts';
import type { Answer } from './solver.ts';
import type { Construct } from './values.ts';

export type Limit = Extract<Answer, { verdict: 'unknown' }>['limit'];

/** What z3 and WASM together say to one question. */
export type Judgement = { readonly outside: readonly Construct[] } & (
  | { readonly kind: 'proved' }
  | { readonly kind: 'broken'; readonly example: Counterexample }
  /** A construct without translation may break it, or not. */
  | { readonly kind: 'outside'; readonly construct: Construct }
  | { readonly kind: 'unknown'; readonly reason: string }
  /** The formula is; nothing was asked. */
  | { readonly kind: 'too-large' }
  /** z3 did not get to an answer. */
  | { readonly kind: 'limit'; readonly limit: Limit }
);

/**
 * Asks one question. `unsat` is a proof; an input that z3 gives counts only when `replay` shows the violation on it. What
 * is not confirmed is asked again without what makes a model inexact.
 */
export async function settle(
  invariant: string,
  question: Question,
  ask: (slice: Slice) => Promise<Answer>,
  replay: (input: JsonObject) => Promise<Omit<Counterexample, 'count' | 'differs'> | undefined>,
): Promise<Judgement> {
  const outside = distinct(question.slice.outside);
  const [construct = question.constructs[0]] = outside;
  let unconfirmed: { readonly input: JsonObject; readonly exact: boolean } | undefined;
  for (const [index, sliced] of [() => question.slice, ...question.exactly].entries()) {
    // In the whole policy only where nothing else explains why a model is not confirmed.
    if (index > 1 && construct !== undefined) break;
    const slice = sliced();
    const answer = await ask(slice);
    if (answer.verdict === 'unknown') return { kind: 'limit', limit: answer.limit, outside };
    if (answer.verdict === 'unsat') {
      if (index === 0) return { kind: 'proved', outside };
      if (construct !== undefined) return { kind: 'outside', construct, outside };
      return { kind: 'unknown', reason: 'it may be broken where rules conflict or composite values are compared', outside };
    }
    unconfirmed = decode(answer.values, slice.inputs, question.arrays);
    const found = await replay(unconfirmed.input);
    if (found !== undefined) {
      const differs = slice.inputs.flatMap(({ path }) => (valueAt(found.input, path) === undefined ? [] : [pathText(path)]));
      return { kind: 'broken', example: { ...found, count: 1, differs }, outside };
    }
  }
  if (construct !== undefined) return { kind: 'outside', construct, outside };
  if (unconfirmed?.exact !== true) return { kind: 'unknown', reason: 'only on values that JSON does not hold', outside };
  throw new InternalError(
    `z3 and the WASM module disagree about ${invariant}; input: ${JSON.stringify(unconfirmed.input).slice(0, 2000)}`,
  );
}

/** `fleet.pools of up to 9 elements`; undefined: no array of the input is followed, so nothing is said of its length. */
export function boundsText(arrays: readonly InputArray[]): string | undefined {
  if (arrays.length === 0) return undefined;
  return arrays.map(({ path, length }) => `${pathText(path)} of up to ${length} elements`).join(', ');
}

export function constructText({ construct, location }: Construct): string {
  return location === undefined ? construct : `${construct} at ${location.file}:${location.line}`;
}

function distinct(constructs: readonly Construct[]): readonly Construct[] {
  return [...new Map(constructs.map((c) => [constructText(c), c])).values()];
}
