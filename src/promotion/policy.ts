import { join } from 'node:path';
import { ConfigurationError, ExternalError } from '../core/errors.ts';
import type { FileTree, Tool } from '../core/gate-context.ts';
import { exec } from '../tools/exec.ts';
import { materialize, normalise, type Tree } from '../workspace/tree.ts';
import type { Statement } from './statement.ts';

/** What the promotion policy decides on. */
export interface PolicyInput {
  readonly environment: { readonly name: string; readonly requires: readonly string[] };
  readonly commit: string;
  /** The revision that the environment runs now; null before the first promotion. */
  readonly base: string | null;
  readonly now: string;
  readonly evidence: readonly Statement[];
}

export interface PolicyDecision {
  readonly allow: boolean;
  readonly reasons: readonly string[];
}

const TIMEOUT_MS = 20_000;
const MAX_REASONS = 50;

/**
 * Asks package `promotion`, rule `decision`: an object with `allow` and, when it refuses, `reasons` (texts, or objects with a
 * code or message). Undefined or anything else is not an answer, and never a yes.
 */
export async function evaluatePromotionPolicy(
  opa: Tool,
  tree: FileTree & Tree,
  folder: string,
  input: PolicyInput,
): Promise<PolicyDecision> {
  const files = (await tree.list(folder)).filter((path) => path.endsWith('.rego'));
  if (files.length === 0)
    throw new ConfigurationError({
      message: `the promotion policy ${folder} holds no .rego file in ${tree.name}.`,
      fix: 'correct promotion.policy in mixgate.yaml.',
    });
  await using work = await materialize(tree, [folder]);
  // The folder itself, not its parents: OPA mounts a data.json below the path it is given.
  const result = await exec(
    opa.path,
    ['eval', '--format', 'json', '--stdin-input', '--data', join(work.dir, normalise(folder)), 'data.promotion.decision'],
    {
      input: JSON.stringify(input),
      timeoutMs: TIMEOUT_MS,
      maxBytes: 4 * 1024 * 1024,
      // A policy can read the environment (opa.runtime): tokens and the signing key are none of its business.
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], TMPDIR: process.env['TMPDIR'] },
    },
  );
  if (result.timedOut)
    throw new ExternalError({
      message: `the promotion policy ${folder} did not answer within ${TIMEOUT_MS / 1000} s.`,
      fix: 'look for a loop over evidence.',
    });
  const answer = parseAnswer(result.stdout);
  if (result.code !== 0 || answer === undefined)
    throw new ConfigurationError({
      message: `the promotion policy ${folder} does not evaluate: ${problemText(result.stdout, result.stderr, work.dir)}`,
      fix: 'run `mixgate policy test` on it.',
    });
  if (answer.length === 0)
    throw new ConfigurationError({
      message: `the promotion policy ${folder} leaves data.promotion.decision undefined.`,
      expected: 'package promotion with a rule decision',
      fix: 'give the rule a default: `default decision := {"allow": false, "reasons": ["NO_RULE"]}`.',
    });
  return decisionOf(answer[0], folder);
}

function parseAnswer(stdout: string): readonly unknown[] | undefined {
  try {
    const body = JSON.parse(stdout) as { errors?: unknown; result?: readonly { expressions?: readonly { value?: unknown }[] }[] };
    if (body.errors !== undefined) return undefined;
    return (body.result ?? []).map((row) => row.expressions?.[0]?.value);
  } catch {
    return undefined;
  }
}

function problemText(stdout: string, stderr: string, dir: string): string {
  let text = stderr;
  try {
    const errors =
      (JSON.parse(stdout) as { errors?: readonly { message?: string; location?: { file?: string; row?: number } }[] }).errors ??
      [];
    if (errors.length > 0)
      text = errors
        .map((error) => `${error.location?.file ?? ''}:${error.location?.row ?? ''} ${error.message ?? ''}`)
        .join('; ');
  } catch {
    // Not JSON: stderr says it.
  }
  return text.replaceAll(`${dir}/`, '').trim().slice(0, 600);
}

function decisionOf(value: unknown, folder: string): PolicyDecision {
  const wrong = (what: string): ConfigurationError =>
    new ConfigurationError({
      message: `the promotion policy ${folder} answers with ${what}.`,
      expected: '{"allow": true|false, "reasons": [...]}',
    });
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(JSON.stringify(value)?.slice(0, 100) ?? 'nothing');
  const { allow, reasons = [] } = value as { allow?: unknown; reasons?: unknown };
  if (typeof allow !== 'boolean') throw wrong('an `allow` that is not true or false');
  if (!Array.isArray(reasons)) throw wrong('`reasons` that are not a list');
  return { allow, reasons: reasons.slice(0, MAX_REASONS).map(reasonText).sort() };
}

function reasonText(reason: unknown): string {
  if (typeof reason === 'string') return reason.slice(0, 300);
  const { code, message } = (reason ?? {}) as { code?: unknown; message?: unknown };
  const text = [code, message].filter((part) => typeof part === 'string').join(': ');
  return (text === '' ? JSON.stringify(reason) : text).slice(0, 300);
}
