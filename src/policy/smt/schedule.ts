import { availableParallelism } from 'node:os';
import type { Progress } from '../../core/context.ts';
import type { JsonObject } from '../../core/json.ts';
import type { Definition } from '../definitions.ts';
import type { Counterexample } from '../prove.ts';
import { type Judgement, settle } from './judge.ts';
import type { Questions } from './questions.ts';
import { Z3 } from './solver.ts';

export interface Clause {
  readonly invariant: string;
  /** One `violation` rule. */
  readonly clause: Definition;
}
/** One way to ask about a clause; each later one claims less. */
export interface Stage {
  readonly name: string;
  readonly questions: Questions;
}
/** A clause with what was found out about it, by stage; a stage that it didn't come to has no judgement. */
export interface Inquiry extends Clause {
  readonly stages: readonly Stage[];
  readonly judgements: ReadonlyMap<Stage, Judgement>;
}

interface InquiryOptions {
  /** The installed z3-solver. */
  readonly z3: string;
  readonly clauses: readonly Clause[];
  readonly stages: readonly Stage[];
  readonly replay: (clause: Clause, input: JsonObject) => Promise<Omit<Counterexample, 'count' | 'differs'> | undefined>;
  /** When it has to be over, on the clock of `performance.now()`. */
  readonly deadline: number;
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

/**
 * z3's own count of work for a question, round by round: what is cheap has its answer before the time is spent on what is
 * not. Where the last one gives up doesn't depend on the machine.
 */
const ROUNDS = [4_000_000, 12_000_000, 40_000_000];
/** The share of the whole time that one question may take: z3's count of work is not always a measure of its time. */
const SHARE = 4;
const MAX_PROCESSES = 4;

/** Asks about every clause until each has its answer or the time is over. What was found out by then is never lost. */
export async function inquire(
  options: InquiryOptions,
): Promise<{ readonly version: string; readonly inquiries: readonly Inquiry[] }> {
  const { clauses, stages, deadline, signal, progress } = options;
  const inquiries = clauses.map((clause) => ({ ...clause, stages, judgements: new Map<Stage, Judgement>() }));
  const solvers = Array.from(
    { length: Math.max(1, Math.min(MAX_PROCESSES, availableParallelism(), clauses.length)) },
    () => new Z3(options.z3, signal),
  );
  const longest = (deadline - performance.now()) / SHARE;
  const left = (): number => deadline - performance.now();
  try {
    for (const [round, rlimit] of ROUNDS.entries())
      for (const stage of stages) {
        const open = inquiries.filter((inquiry) => isOpen(inquiry, stage, round));
        const queue = [...open];
        const work = async (z3: Z3): Promise<void> => {
          for (let next = queue.shift(); next !== undefined && left() > 0 && !signal.aborted; next = queue.shift()) {
            const inquiry = next;
            const question = stage.questions.of(inquiry.clause);
            const judgement: Judgement =
              question === undefined
                ? { kind: 'too-large', outside: [] }
                : await settle(
                    inquiry.invariant,
                    question,
                    ({ text, asked }) => z3.ask({ text, names: asked }, { rlimit, limitMs: Math.min(longest, left()) }),
                    (input) => options.replay(inquiry, input),
                  );
            inquiry.judgements.set(stage, judgement);
            progress.fraction(inquiries.filter(isSettled).length, inquiries.length, `SMT proof, ${stage.name}`);
          }
        };
        await Promise.all(solvers.map(work));
        // What the time ran out on before it was asked, or asked with more.
        const limit = signal.aborted ? 'interrupted' : 'time';
        for (const inquiry of queue) inquiry.judgements.set(stage, { kind: 'limit', limit, outside: [] });
        if (open.length > queue.length) progress.step(progressText(inquiries, stage, open.length - queue.length));
      }
  } finally {
    await Promise.all(solvers.map((z3) => z3[Symbol.asyncDispose]()));
  }
  return { version: solvers.find((z3) => z3.version !== undefined)?.version ?? 'unknown', inquiries };
}

type State = Inquiry & { readonly judgements: Map<Stage, Judgement> };

/** Whether the stage may still add to what is known of a clause, in that round. */
function isOpen({ judgements, stages }: State, stage: Stage, round: number): boolean {
  const of = (some: readonly Stage[]): readonly (Judgement | undefined)[] => some.map((one) => judgements.get(one));
  const at = stages.indexOf(stage);
  if (of(stages).some((judgement) => judgement?.kind === 'broken') || judgements.get(stages[0]!)?.kind === 'proved') return false;
  if (at > 0 && of(stages.slice(at + 1)).some((judgement) => judgement?.kind === 'proved')) return false;
  const known = judgements.get(stage);
  if (known !== undefined) return round > 0 && known.kind === 'limit' && known.limit === 'work';
  // A model of shorter arrays is one of longer ones too: what is not proved for a few elements isn't for more.
  return of(stages.slice(1, at)).every((judgement) => judgement?.kind === 'proved' || judgement?.kind === 'limit');
}

/** Nothing more will be asked about it, unless for a stronger claim. */
function isSettled({ judgements, stages }: State): boolean {
  const all = stages.flatMap((stage) => judgements.get(stage) ?? []);
  return all.some(({ kind }) => kind === 'broken' || kind === 'proved') || (all.length > 1 && all.at(-1)?.kind !== 'limit');
}

function progressText(inquiries: readonly State[], stage: Stage, asked: number): string {
  const proved = inquiries.filter(({ judgements }) => judgements.get(stage)?.kind === 'proved').length;
  const broken = inquiries.filter(({ judgements }) => judgements.get(stage)?.kind === 'broken').length;
  const found = broken === 0 ? '' : `, ${broken} broken`;
  return `policy: SMT, ${stage.name}: ${proved} of ${inquiries.length} clauses proved${found} (${asked} asked)`;
}
