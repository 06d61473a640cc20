import { readFileSync } from 'node:fs';
import { ConfigurationError } from '../core/errors.ts';
import { type ChangeEvent, changeOfEvent } from '../workspace/event.ts';
import type { Git } from '../workspace/git.ts';

/** GitHub's own limit on webhook payloads is 25 MB. */
const MAX_EVENT_BYTES = 25 * 1024 * 1024;

/** The event that started the run, from the file that the runner wrote. */
export function readEvent(env: NodeJS.ProcessEnv): ChangeEvent {
  const name = env['GITHUB_EVENT_NAME'] ?? '';
  const file = env['GITHUB_EVENT_PATH'] ?? '';
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigurationError(
      {
        message: 'the event file can not be read.',
        expected: 'GITHUB_EVENT_PATH, which the runner sets',
        fix: 'run this as a GitHub Action, or use the command line: `mixgate check`.',
      },
      { cause },
    );
  }
  if (text.length > MAX_EVENT_BYTES)
    throw new ConfigurationError({ message: 'the event file is larger than 25 MB.', expected: 'the file that the runner wrote' });
  let payload: unknown;
  try {
    payload = JSON.parse(text);
  } catch (cause) {
    throw new ConfigurationError(
      { message: 'the event file is not JSON.', expected: 'the file that the runner wrote (GITHUB_EVENT_PATH)' },
      { cause },
    );
  }
  return changeOfEvent(name, payload, env['GITHUB_SHA'] ?? '');
}

/**
 * Refuses `pull_request_target` with anything but the base branch checked out: the job has a token that can write and
 * secrets, and programs that it runs would read files that a stranger wrote.
 */
export async function refuseUntrustedCheckout(
  change: ChangeEvent,
  git: Git,
  options: { readonly trustedSha: string | undefined; readonly allowed: boolean },
): Promise<void> {
  if (change.event !== 'pull_request_target' || options.allowed) return;
  const here = await git.resolve('HEAD');
  if (here === options.trustedSha || here === change.base) return;
  throw new ConfigurationError({
    message: `this is a pull_request_target run, and the workspace is at ${here.slice(0, 12)}, not at the base branch: it holds files of the pull request.`,
    expected: 'the event pull_request, or a checkout of the base branch',
    fix: 'use `on: pull_request`; or check out the base (and fetch the head without checking it out); or set `allow-untrusted-checkout: true` after reading docs/action.md.',
  });
}

/** Refuses a push whose commit before is in no clone any more, with what that means; a shallow clone has a sentence of its own. */
export async function requireCommitBefore(change: ChangeEvent, git: Git): Promise<void> {
  if (change.event !== 'push' || change.base === undefined) return;
  if ((await git.exists(change.base)) || (await git.isShallow())) return;
  throw new ConfigurationError({
    message: `the commit before this push, ${change.base.slice(0, 12)}, is not in this clone: the branch was rewritten (a forced push).`,
    expected: 'a commit to compare with',
    fix: 'set the input `base` to a branch that was not rewritten, for example `base: origin/main`.',
  });
}

/**
 * The tip of the branch that a pull request goes to. The payload has it as it was at the event: a pull request that was opened
 * before a gate was tightened would bring its old one along. The clone's remote branch is as new as the checkout.
 */
export async function newestBase(change: ChangeEvent, git: Git): Promise<string | undefined> {
  const { base, pullRequest } = change;
  if (base === undefined || pullRequest === undefined) return base;
  const branch = `refs/remotes/origin/${pullRequest.baseRef}`;
  try {
    const tip = await git.resolve(branch);
    // Only where it is the same branch, later.
    return (await git.mergeBase(base, tip)) === (await git.resolve(base)) ? tip : base;
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return base;
  }
}
