import type { Location } from '../../core/finding.ts';
import type { AstExpression, AstTerm } from '../ast.ts';
import type { Definition } from '../definitions.ts';
import type { Formula } from './formula.ts';
import type { RuleBook } from './rulebook.ts';
import type { Case, Cases, Value } from './values.ts';

/** Local variables; undefined for one that is declared and not bound yet. */
export type Locals = ReadonlyMap<string, Cases | undefined>;
/** One way a body can hold so far. */
export interface Branch {
  readonly guard: string;
  readonly locals: Locals;
  /** At most so many solutions of the body hold at a time; default 1. */
  readonly most?: number;
}
export interface Scope {
  readonly file: string;
  readonly package: string;
  /** What `input` is here: the request, or {input, decision} in an invariant. */
  readonly input: Cases;
}

export const MAX_BRANCHES = 400;

/** The symbolic evaluation as its parts see it: rules, bodies and terms call each other through it. */
export interface Translation {
  readonly formula: Formula;
  readonly book: RuleBook;
  /** How often something outside the subset may have had several solutions. */
  readonly loose: number;
  /** The value of a rule, e.g. `routing.decision`, when `input` is the given value. */
  rule(name: string, input: Cases): Cases;
  /** A complete rule, or a function on `args`. */
  complete(definitions: readonly Definition[], input: Cases, args: readonly Cases[] | undefined): Cases;
  /** Every way a body can hold. */
  body(body: readonly AstExpression[], scope: Scope, start: Branch): readonly Branch[];
  /** The value of a term; what is outside the subset can be anything, or undefined. */
  term(term: AstTerm, scope: Scope, locals: Locals): Cases;
  /** What a construct without translation can be: any value, under `guard` where that much is known. */
  outside(construct: string, location: Location | undefined): readonly [Case];
  /** The value alone. */
  anything(construct: string, location: Location | undefined): Value;
}
