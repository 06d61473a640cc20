import * as core from '@actions/core';
import { parseOnly } from '../commands/check.ts';
import { nearest } from '../config/suggest.ts';
import { ConfigurationError, type Problem } from '../core/errors.ts';
import type { GateId } from '../core/gate.ts';
import type { ExitPolicy } from '../core/verdict.ts';

/** Every input of action.yml; a test compares this list with action.yml and the documentation. */
export const INPUTS = [
  'config',
  'base',
  'head',
  'only',
  'mode',
  'on-error',
  'on-inconclusive',
  'comment',
  'comment-tag',
  'token',
  'report-dir',
  'working-directory',
  'allow-untrusted-checkout',
] as const;
export type InputName = (typeof INPUTS)[number];

const COMMENT_MODES = ['never', 'on-failure', 'changes', 'always'] as const;
/** When to comment on the pull request; an earlier comment is kept up to date in every mode but `never`. */
export type CommentMode = (typeof COMMENT_MODES)[number];

export interface ActionInputs {
  readonly config: string | undefined;
  readonly base: string | undefined;
  readonly head: string | undefined;
  readonly only: readonly GateId[] | undefined;
  readonly policy: ExitPolicy;
  readonly comment: CommentMode;
  readonly commentTag: string;
  readonly token: string;
  readonly reportDir: string | undefined;
  readonly workingDirectory: string;
  readonly allowUntrustedCheckout: boolean;
}

/** Reads and checks every input; one ConfigurationError with every problem. The token is masked before anything is printed. */
export function readInputs(): ActionInputs {
  const token = input('token');
  if (token !== '') core.setSecret(token);
  const problems: Problem[] = [];
  const attempt = <T>(fallback: T, read: () => T): T => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      problems.push(...error.problems);
      return fallback;
    }
  };
  const inputs: ActionInputs = {
    config: optional('config'),
    base: optional('base'),
    head: optional('head'),
    only: attempt(undefined, () => parseOnly(core.getMultilineInput('only'))),
    policy: {
      mode: attempt('enforce', () => choice('mode', ['enforce', 'warn'], 'enforce')),
      onError: attempt('fail', () => choice('on-error', ['fail', 'warn'], 'fail')),
      onInconclusive: attempt('fail', () => choice('on-inconclusive', ['fail', 'warn'], 'fail')),
    },
    comment: attempt('on-failure', () => choice('comment', COMMENT_MODES, 'on-failure')),
    commentTag: attempt('', commentTag),
    token,
    reportDir: optional('report-dir'),
    workingDirectory: optional('working-directory') ?? '.',
    allowUntrustedCheckout: attempt(false, () => flag('allow-untrusted-checkout')),
  };
  if (problems.length > 0) throw new ConfigurationError(problems);
  return inputs;
}

function input(name: InputName): string {
  return core.getInput(name);
}

function optional(name: InputName): string | undefined {
  const value = input(name);
  return value === '' ? undefined : value;
}

function choice<const T extends string>(name: InputName, allowed: readonly T[], fallback: T): T {
  const value = input(name);
  if (value === '') return fallback;
  const found = allowed.find((item) => item === value);
  if (found !== undefined) return found;
  const guess = nearest(value, allowed);
  throw new ConfigurationError({
    message: `the input \`${name}\` is ${JSON.stringify(value.slice(0, 80))}.`,
    expected: `one of ${allowed.join(', ')}`,
    ...(guess === undefined ? {} : { fix: `did you mean \`${guess}\`?` }),
  });
}

/** YAML's core schema and nothing else: `no`, `0` and typing errors must not read as false, or as true. */
function flag(name: InputName): boolean {
  if (input(name) === '') return false;
  try {
    return core.getBooleanInput(name);
  } catch (cause) {
    throw new ConfigurationError(
      { message: `the input \`${name}\` is ${JSON.stringify(input(name).slice(0, 80))}.`, expected: 'true or false' },
      { cause },
    );
  }
}

function commentTag(): string {
  const value = input('comment-tag');
  if (/^[A-Za-z0-9 _./:-]{0,80}$/.test(value)) return value;
  throw new ConfigurationError({
    message: `the input \`comment-tag\` is ${JSON.stringify(value.slice(0, 100))}.`,
    expected: 'at most 80 letters, digits, spaces and _ . / : -',
    fix: 'for a matrix, give the value of one of its keys.',
  });
}
