import { ConfigurationError, ExternalError, messageOf } from '../core/errors.ts';
import { checkRef, type Git } from '../workspace/git.ts';

/** A branch of a remote, as it was when it was fetched. */
export interface RemoteBranch {
  readonly remote: string;
  readonly branch: string;
  /** Full id of its newest commit. */
  readonly tip: string;
  /** What this clone thought it was before the fetch; undefined when it had never seen it. */
  readonly before: string | undefined;
}

/** Fetches one branch. @throws ConfigurationError for an unknown remote or branch, ExternalError when the remote can't be reached */
export async function fetchBranch(git: Git, remote: string, branch: string): Promise<RemoteBranch> {
  checkRef(remote, 'remote');
  checkRef(branch, 'branch');
  const known = (await git.raw(['remote'])).split('\n').filter((name) => name !== '');
  if (!known.includes(remote))
    throw new ConfigurationError({
      message: `this clone has no remote ${remote}.`,
      expected: known.length === 0 ? 'a remote' : `one of ${known.join(', ')}`,
      fix: `add it with \`git remote add ${remote} URL\`, or set promotion.remote in mixgate.yaml.`,
    });
  const tracking = `refs/remotes/${remote}/${branch}`;
  const before = (await git.exists(tracking)) ? await git.resolve(tracking) : undefined;
  try {
    await git.raw(['fetch', '--quiet', '--no-tags', '--end-of-options', remote, `+refs/heads/${branch}:${tracking}`]);
  } catch (cause) {
    const text = messageOf(cause);
    if (/couldn't find remote ref/i.test(text))
      throw new ConfigurationError(
        {
          message: `${remote} has no branch ${branch}.`,
          fix: 'correct `branch` of the environment in mixgate.yaml, or push the branch.',
        },
        { cause },
      );
    throw new ExternalError(
      {
        message: `${remote} cannot be fetched: ${text.trim().split('\n').at(-1)}`,
        fix: 'check the network and the credentials of this clone.',
      },
      { cause },
    );
  }
  return { remote, branch, tip: await git.resolve(tracking), before };
}

/** Whether a commit is on the branch, or on any other branch of the remote. */
export async function isOnRemote(git: Git, target: RemoteBranch, commit: string): Promise<boolean> {
  if ((await git.mergeBase(commit, target.tip).catch(() => undefined)) === commit) return true;
  await git.raw([
    'fetch',
    '--quiet',
    '--no-tags',
    '--end-of-options',
    target.remote,
    `+refs/heads/*:refs/remotes/${target.remote}/*`,
  ]);
  return (
    (await git.raw(['for-each-ref', `--contains=${commit}`, '--format=%(refname)', `refs/remotes/${target.remote}/`])).trim() !==
    ''
  );
}

export type Pushed = { readonly ok: true } | { readonly ok: false; readonly tip: string };

/**
 * Pushes a commit to the branch it was built on; never forced. When somebody else was faster the remote refuses, which is an
 * expected outcome and not an error: the answer is its new tip.
 */
export async function pushCommit(git: Git, target: RemoteBranch, commit: string): Promise<Pushed> {
  try {
    await git.raw(['push', '--quiet', '--end-of-options', target.remote, `${commit}:refs/heads/${target.branch}`]);
  } catch (cause) {
    const now = await fetchBranch(git, target.remote, target.branch);
    if (now.tip === commit) return { ok: true };
    if (now.tip !== target.tip) return { ok: false, tip: now.tip };
    const text = messageOf(cause);
    throw new ExternalError(
      {
        message: `${target.remote} refused the commit for ${target.branch}: ${text.trim().slice(0, 400)}`,
        fix: 'check the rights of these credentials and the branch protection.',
      },
      { cause },
    );
  }
  return { ok: true };
}
