import type { Location } from './finding.ts';

/** One thing that is wrong with an input. */
export interface Problem {
  readonly message: string;
  readonly location?: Location;
  readonly expected?: string;
  readonly fix?: string;
}

/** Base of the errors a user may see: one or more problems, no stack trace. */
export abstract class MixgateError extends Error {
  readonly problems: readonly Problem[];
  abstract readonly exitCode: 2 | 3;

  constructor(problems: Problem | readonly Problem[] | string, options?: ErrorOptions) {
    const list =
      typeof problems === 'string' ? [{ message: problems }] : Array.isArray(problems) ? problems : [problems as Problem];
    super(list.map(formatProblem).join('\n'), options);
    this.name = new.target.name;
    this.problems = list;
  }
}

/** The user's input (flag, file, config) is wrong: exit 2. */
export class ConfigurationError extends MixgateError {
  readonly exitCode = 2;
}

/** Something outside is missing or failed (a program, the network, Git, Prometheus): exit 3. */
export class ExternalError extends MixgateError {
  readonly exitCode = 3;
}

/** A fault of mixgate itself: exit 3. */
export class InternalError extends MixgateError {
  readonly exitCode = 3;
}

/** `file:line:column: message. Expected ... Fix: ...` */
export function formatProblem(problem: Problem): string {
  const where = problem.location === undefined ? '' : `${formatLocation(problem.location)}: `;
  const expected = problem.expected === undefined ? '' : ` Expected ${problem.expected}.`;
  const fix = problem.fix === undefined ? '' : ` Fix: ${problem.fix}`;
  const stop = /[.!?:]$/.test(problem.message) ? '' : '.';
  return `${where}${problem.message}${stop}${expected}${fix}`;
}

export function formatLocation(location: Location): string {
  const line = location.line === undefined ? '' : `:${location.line}`;
  const column = location.line === undefined || location.column === undefined ? '' : `:${location.column}`;
  return `${location.file}${line}${column}`;
}

export function isMixgateError(error: unknown): error is MixgateError {
  return error instanceof MixgateError;
}

/** What an error says, for a sentence of ours; JavaScript can throw anything. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
