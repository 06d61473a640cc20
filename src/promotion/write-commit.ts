import { ConfigurationError } from '../core/errors.ts';
import type { Git } from '../workspace/git.ts';

export interface CommitRequest {
  /** Full id of the parent. */
  readonly parent: string;
  /** Path from the root of the repository. */
  readonly path: string;
  readonly text: string;
  readonly message: string;
  /** ISO 8601 UTC instant of author and committer. */
  readonly now: string;
}

/**
 * A commit that changes one file of its parent, built from objects alone: no checkout, no index, no worktree, so that the user's
 * files stay as they are and an interrupted run leaves at most unreferenced objects. Hooks don't run.
 * @returns the id of the commit; nothing refers to it yet
 */
export async function writeCommit(git: Git, request: CommitRequest): Promise<string> {
  const blob = (await git.pipe(['hash-object', '-w', '--stdin'], request.text)).trim();
  const tree = await replaceIn(git, `${request.parent}^{tree}`, request.path.split('/'), blob);
  const identity = await identityOf(git, request.now);
  return (await git.pipe(['commit-tree', tree, '-p', request.parent, '-F', '-'], request.message, identity)).trim();
}

async function replaceIn(git: Git, tree: string | undefined, parts: readonly string[], blob: string): Promise<string> {
  const [name, ...rest] = parts as [string, ...string[]];
  const listing = tree === undefined ? '' : await git.raw(['ls-tree', '-z', tree]);
  const entries = listing.split('\0').filter((entry) => entry !== '');
  const others = entries.filter((entry) => entry.split('\t').slice(1).join('\t') !== name);
  const current = entries.find((entry) => !others.includes(entry));
  const type = current?.split(' ')[1];
  if (current !== undefined && type !== (rest.length === 0 ? 'blob' : 'tree'))
    throw new ConfigurationError({
      message: `${parts.join('/')} is a ${type === 'tree' ? 'folder' : 'file'} on the branch.`,
      expected: rest.length === 0 ? 'a file' : 'a folder',
      fix: 'correct `path` of the environment in mixgate.yaml.',
    });
  const id = current?.split(/[ \t]/)[2];
  const entry =
    rest.length === 0 ? `100644 blob ${blob}\t${name}` : `040000 tree ${await replaceIn(git, id, rest, blob)}\t${name}`;
  return (await git.pipe(['mktree', '-z'], `${[...others, entry].join('\0')}\0`)).trim();
}

/** The user's own identity where one is configured; CI machines often have none. */
async function identityOf(git: Git, now: string): Promise<Record<string, string>> {
  const configured = async (key: string): Promise<string | undefined> => {
    const value = await git.raw(['config', '--default', '', '--get', key]);
    return value.trim() === '' ? undefined : value.trim();
  };
  const name = await configured('user.name');
  const email = await configured('user.email');
  const identity: Record<string, string> = {};
  for (const who of ['AUTHOR', 'COMMITTER']) {
    identity[`GIT_${who}_NAME`] = process.env[`GIT_${who}_NAME`] ?? name ?? 'mixgate';
    identity[`GIT_${who}_EMAIL`] = process.env[`GIT_${who}_EMAIL`] ?? email ?? 'mixgate@users.noreply.github.com';
    identity[`GIT_${who}_DATE`] = now;
  }
  return identity;
}
