import type { Progress } from '../../core/context.ts';
import type { Location } from '../../core/finding.ts';
import type { Json } from '../../core/json.ts';
import { compareText } from '../../core/text.ts';
import { constant, type Definition, definitionsOf } from '../definitions.ts';
import { type Counterexample, checkProgram, confirm, type ProofOptions, tracedCheck } from '../prove.ts';
import type { Side } from '../side.ts';
import { boundsText, constructText, type Judgement, type Limit } from './judge.ts';
import { arraysOf, Questions } from './questions.ts';
import { ruleBook } from './rulebook.ts';
import { type Inquiry, inquire, type Stage } from './schedule.ts';
import { findZ3, Z3_PACKAGE } from './solver.ts';
import type { Construct } from './values.ts';

/** Seconds that a proof over every input may take unless told otherwise. */
export const DEFAULT_SMT_SECONDS = 120;

/** What SMT can say about one clause of an invariant (one `violation` rule), over every input there is. */
export interface SmtResult {
  readonly invariant: string;
  /** Where the clause is; undefined for what is said of the whole package. */
  readonly location: Location | undefined;
  /** `bounded`: proved for arrays of the input that are not longer than the domain's base input has them. */
  readonly status: 'proved' | 'bounded' | 'broken' | 'outside' | 'unknown';
  readonly detail: string;
  /** Constructs that were taken as any value and on which the answer may depend. */
  readonly outside: readonly Construct[];
  /** The clock cut an answer short, so that on another machine there may be more of it. */
  readonly cut: boolean;
}
export interface SmtProof {
  /** What z3 says it is; undefined when it isn't installed. */
  readonly version: string | undefined;
  readonly results: readonly SmtResult[];
  readonly counterexamples: readonly Counterexample[];
}

export const NOT_ATTEMPTED = `not attempted: z3-solver is not installed (npm install ${Z3_PACKAGE})`;

export interface SmtOptions extends Pick<ProofOptions, 'entrypoint' | 'invariants' | 'packages' | 'domain' | 'other'> {
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** After so many seconds what has no answer yet is `unknown`; default DEFAULT_SMT_SECONDS. */
  readonly maxSeconds?: number | undefined;
  /** What the enumeration of the domain showed of invariants that are not broken, e.g. `proved on 4 of 4`. */
  readonly onDomain?: string | undefined;
  /** Invariants of which a counterexample is known already. */
  readonly broken?: ReadonlySet<string>;
  /** The installed z3-solver; default: the one beside mixgate. */
  readonly z3?: string | undefined;
}

/** Elements that are followed before the arrays of the domain are tried at their full length. */
const FEW = 2;

const LIMITS: { readonly [limit in Limit]: string } = {
  work: "z3's limit of work",
  memory: "z3's limit of memory",
  time: 'time limit',
  lost: 'z3 ended without an answer',
  interrupted: 'interrupted',
};

/**
 * Asks z3 for an input, of any shape, on which an invariant is broken. `unsat` is a proof: what has no translation is
 * taken as any value, so the formula allows every behaviour of the policy and more. An input that z3 gives is executed
 * by the WASM module before it counts.
 */
export async function proveAll(side: Side, options: SmtOptions): Promise<SmtProof> {
  const z3 = 'z3' in options ? options.z3 : findZ3();
  if (z3 === undefined) return { version: undefined, results: [], counterexamples: [] };
  const deadline = performance.now() + (options.maxSeconds ?? DEFAULT_SMT_SECONDS) * 1000;
  const asts = new Map([...side.asts, ...(await side.opa.parse(options.invariants))]);
  const definitions = definitionsOf(asts);
  const book = ruleBook(asts, definitions, side.source.data);
  const broken = options.packages.filter((name) => options.broken?.has(name) === true);
  const clauses = options.packages
    .filter((name) => !broken.includes(name))
    .flatMap((invariant) =>
      definitions.filter((d) => d.rule === `${invariant}.violation`).map((clause) => ({ invariant, clause })),
    );
  const programs = new Programs(side, options);
  const { version, inquiries } = await inquire({
    z3,
    clauses,
    stages: stagesOf(options.domain.base, (lengths) => new Questions(book, options.entrypoint, options.domain, lengths)),
    replay: ({ invariant, clause }, input) => programs.confirm(invariant, input, messageOf(clause)),
    deadline,
    signal: options.signal,
    progress: options.progress,
  });
  const results = inquiries.map((inquiry) => resultOf(inquiry, version, options.onDomain));
  for (const invariant of broken)
    results.push({ ...nothing(invariant), status: 'broken', detail: 'broken on the declared domain' });
  const order = new Map(options.packages.map((name, index) => [name, index]));
  const before = (a: SmtResult, b: SmtResult): number =>
    order.get(a.invariant)! - order.get(b.invariant)! ||
    compareText(a.location?.file ?? '', b.location?.file ?? '') ||
    (a.location?.line ?? 0) - (b.location?.line ?? 0);
  return {
    version,
    results: results.sort(before),
    counterexamples: inquiries.flatMap(({ judgements }) =>
      [...judgements.values()].flatMap((judgement) => (judgement.kind === 'broken' ? [judgement.example] : [])),
    ),
  };
}

/** Every input first, then what is not proved so for a few elements of each array, then for as many as the domain has. */
function stagesOf(base: Json, questions: (lengths: ReadonlyMap<string, number>) => Questions): readonly Stage[] {
  const lengths = arraysOf(base);
  const limited = (most: number): Questions =>
    questions(new Map([...lengths].map(([path, length]) => [path, Math.min(length, most)])));
  return [
    { name: 'every input', questions: questions(new Map()) },
    ...([...lengths.values()].some((length) => length > FEW)
      ? [{ name: `arrays of up to ${FEW}`, questions: limited(FEW) }]
      : []),
    ...(lengths.size > 0 ? [{ name: 'arrays of the domain', questions: limited(Number.POSITIVE_INFINITY) }] : []),
  ];
}

/** The strongest claim that an answer allows; where there is none, what the longest arrays gave as the reason. */
function resultOf({ invariant, clause, judgements, stages }: Inquiry, version: string, onDomain: string | undefined): SmtResult {
  const asked = stages.flatMap((stage) => {
    const judgement = judgements.get(stage);
    return judgement === undefined ? [] : [{ stage, judgement }];
  });
  const last = asked.at(-1)?.judgement;
  const cut = asked.length === 0 || asked.some(({ judgement }) => judgement.kind === 'limit' && isClock(judgement.limit));
  const say = (status: SmtResult['status'], detail: string, of: Judgement | undefined = last): SmtResult => ({
    ...nothing(invariant),
    location: clause.location,
    status,
    detail,
    outside: of?.outside ?? [],
    cut,
  });
  const broken = asked.find(({ judgement }) => judgement.kind === 'broken');
  if (broken !== undefined) return say('broken', `broken (SMT, z3 ${version}), replayed through WASM`, broken.judgement);
  // The first is for every input, and of the others the last is for the longest arrays.
  const proofs = asked.filter(({ judgement }) => judgement.kind === 'proved');
  const proof = proofs[0]?.stage === stages[0] ? proofs[0] : proofs.at(-1);
  if (proof !== undefined) {
    const { outside } = proof.judgement;
    const taken =
      outside.length === 0 ? '' : `; ${outside.length} construct${outside.length === 1 ? '' : 's'} taken as any value`;
    const by = `(SMT, z3 ${version}${taken})`;
    const bounds = boundsText(proof.stage.questions.of(clause)!.arrays);
    if (bounds === undefined) return say('proved', `proved for every input ${by}`, proof.judgement);
    const longer = last?.kind === 'limit' ? `; longer ones: ${LIMITS[last.limit]}` : '';
    return say('bounded', `proved for ${bounds} ${by}${longer}`, proof.judgement);
  }
  const domain = onDomain === undefined ? '' : `; on the domain ${onDomain}`;
  if (last?.kind === 'outside') return say('outside', `outside the subset: ${constructText(last.construct)}`);
  if (last?.kind === 'unknown') return say('unknown', `unknown: ${last.reason}${domain}`);
  if (last?.kind === 'too-large') return say('outside', 'outside the subset: the formula is too large');
  return say('unknown', `unknown: ${LIMITS[last?.kind === 'limit' ? last.limit : 'time']}${domain}`);
}

const isClock = (limit: Limit): boolean => limit === 'time' || limit === 'interrupted';

const nothing = (invariant: string): SmtResult => ({
  invariant,
  location: undefined,
  status: 'unknown',
  detail: '',
  outside: [],
  cut: false,
});

/** Compiled on the first input that is to be executed. */
class Programs {
  readonly #side: Side;
  readonly #options: SmtOptions;
  #check: ReturnType<typeof checkProgram> | undefined;
  #traced: ReturnType<typeof tracedCheck> | undefined;

  constructor(side: Side, options: SmtOptions) {
    this.#side = side;
    this.#options = options;
  }

  async confirm(invariant: string, input: Counterexample['input'], expected: Json | undefined): ReturnType<typeof confirm> {
    this.#check ??= checkProgram(this.#side, this.#options);
    const { program, extra } = await this.#check;
    this.#traced ??= tracedCheck(this.#side, this.#options.entrypoint, extra);
    return confirm(this.#side, { program, traced: await this.#traced, extra }, this.#options, invariant, input, expected);
  }
}

/** The message of a clause, where it is written out. */
function messageOf(clause: Definition): Json | undefined {
  return clause.ast.head.key === undefined ? undefined : constant(clause.ast.head.key);
}
