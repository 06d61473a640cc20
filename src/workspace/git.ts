import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type SimpleGit, simpleGit } from 'simple-git';
import { nearest } from '../config/suggest.ts';
import { ConfigurationError, ExternalError, type MixgateError } from '../core/errors.ts';
import { exec } from '../tools/exec.ts';

const TIMEOUT_MS = 60_000;

/**
 * Git behind one wrapper: never prompts, never runs the repository's hooks, never pages, has a time limit.
 * Everything that touches Git goes through here.
 */
export interface Git {
  readonly root: string;
  /** Full commit id of a ref; ConfigurationError when it is unknown, with a word on shallow clones. */
  resolve(ref: string): Promise<string>;
  /** Whether the ref exists. */
  exists(ref: string): Promise<boolean>;
  mergeBase(a: string, b: string): Promise<string>;
  isShallow(): Promise<boolean>;
  /** HEAD when the tracked files are as HEAD has them; undefined with uncommitted edits or without commits: what was judged is then no commit. */
  cleanHead(): Promise<string | undefined>;
  changedFiles(base: string, head: string): Promise<readonly string[]>;
  /** Runs git with arguments that the caller has checked; stdout as text. */
  raw(args: readonly string[]): Promise<string>;
  /** Objects by `git cat-file --batch`: one process for many blobs; undefined where missing. */
  blobs(specs: readonly string[]): Promise<(Buffer | undefined)[]>;
  /** Runs git with data on stdin and, where given, more environment; stdout as text. The arguments are the caller's, checked. */
  pipe(args: readonly string[], input: string | Uint8Array, env?: Readonly<Record<string, string>>): Promise<string>;
  readonly client: SimpleGit;
}

/** Opens the repository that holds `dir`. */
export async function openGit(dir: string): Promise<Git> {
  if (!existsSync(dir)) throw new ConfigurationError({ message: `the folder ${dir} does not exist.`, fix: 'correct -C DIR.' });
  const client = simpleGit({
    baseDir: dir,
    timeout: { block: TIMEOUT_MS },
    config: [...SETTINGS],
    maxConcurrentProcesses: 2,
    unsafe: UNSAFE,
    allowEnvironment: ALLOWED_ENVIRONMENT,
  }).env({ ...cleanEnvironment(), GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0' });
  let root: string;
  try {
    root = (await client.raw('rev-parse', '--show-toplevel')).trim();
  } catch (cause) {
    throw whyNotOpened(cause, dir);
  }
  return wrap(client.cwd({ path: root, root: true }), root);
}

/** What Git's refusal to open a folder means, and what to do. */
export function whyNotOpened(cause: unknown, dir: string): MixgateError {
  const text = String(cause);
  if (text.includes('bareRepository'))
    return new ConfigurationError(
      {
        message: `${dir} holds files that Git takes for a repository of its own (HEAD, objects, refs).`,
        expected: 'a folder of a clone',
        fix: 'remove them: with their settings and references Git would run programs and show another history.',
      },
      { cause },
    );
  const owned = /dubious ownership in repository at '(?<root>[^']+)'/.exec(text)?.groups?.['root'];
  if (owned !== undefined)
    return new ConfigurationError(
      {
        message: `Git does not trust ${owned}: it belongs to another user.`,
        fix: `run mixgate as its owner, or, where you trust it, \`git config --global --add safe.directory ${JSON.stringify(owned)}\`.`,
      },
      { cause },
    );
  if (/spawn git ENOENT/.test(text))
    return new ExternalError({ message: 'Git could not be started: it is not on the PATH.', fix: 'install Git.' }, { cause });
  return new ConfigurationError(
    { message: `${dir} is not inside a Git repository.`, fix: 'run mixgate in a clone, or name one with -C DIR.' },
    { cause },
  );
}

/**
 * What holds for every run of Git. A folder of the working tree may hold a bare repository as plain files, with settings
 * that run programs and references that replace commits: such a folder is refused, and no reference replaces anything.
 */
const SETTINGS = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.quotePath=false',
  'core.useReplaceRefs=false',
  'protocol.ext.allow=never',
  'safe.bareRepository=explicit',
] as const;
const SETTING_ARGS = SETTINGS.flatMap((setting) => ['-c', setting]);

// simple-git refuses to set some configuration keys because a hostile value could run programs; ours only switch features off.
const UNSAFE = { allowUnsafeHooksPath: true, allowUnsafeFsMonitor: true, allowUnsafeProtocolOverride: true } as const;

const ALLOWED_ENVIRONMENT = [
  'GIT_TERMINAL_PROMPT',
  'GIT_OPTIONAL_LOCKS',
  'GIT_CONFIG_NOSYSTEM',
  'GIT_ALLOW_PROTOCOL',
  ...['AUTHOR', 'COMMITTER'].flatMap((who) => ['NAME', 'EMAIL', 'DATE'].map((what) => `GIT_${who}_${what}`)),
];

/** The environment without the GIT_* and editor variables that would redirect Git (and that simple-git refuses). */
function cleanEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value === undefined) continue;
    const ours = /^GIT_(AUTHOR|COMMITTER)_|^GIT_CONFIG_NOSYSTEM$|^GIT_ALLOW_PROTOCOL$/.test(name);
    if ((name.startsWith('GIT_') && !ours) || /^(EDITOR|VISUAL|PAGER|SSH_ASKPASS|PREFIX)$/.test(name)) continue;
    kept[name] = value;
  }
  return kept;
}

/** Refuses what Git would read as an option or a range. */
export function checkRef(ref: string, what = 'ref'): string {
  if (!/^[A-Za-z0-9_@][A-Za-z0-9_./@{}~^+-]*$/.test(ref) || ref.includes('..') || ref.length > 250) {
    throw new ConfigurationError({
      message: `${JSON.stringify(ref)} is not a usable ${what}.`,
      expected: 'a branch, tag or commit id',
    });
  }
  return ref;
}

function wrap(client: SimpleGit, root: string): Git {
  // Git answers "no" by an exit code without a message, which simple-git takes for an empty answer or an error.
  const quietly = (args: string[]): Promise<string> =>
    client.raw(args).then(
      (out) => out.trim(),
      () => '',
    );
  /** What to do about a ref that is not here. */
  const otherwise = async (ref: string): Promise<string> => {
    const names = (await quietly(['for-each-ref', '--format=%(refname:short)', 'refs/heads', 'refs/tags', 'refs/remotes'])).split(
      '\n',
    );
    const guess = nearest(ref, names);
    if (guess !== undefined && guess !== '') return `did you mean \`${guess}\`?`;
    const [remote, ...rest] = ref.split('/');
    const remotes = (await quietly(['remote'])).split('\n');
    if (rest.length > 0 && remotes.includes(remote!))
      return `run \`git fetch ${remote} ${rest.join('/')}\`, or correct the name.`;
    return 'check the name, or fetch it first.';
  };
  const git: Git = {
    root,
    client,
    async resolve(ref) {
      checkRef(ref);
      const commit = await quietly(['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`]);
      if (commit !== '') return commit.split('\n').at(-1)!;
      if (ref === 'HEAD')
        throw new ConfigurationError({ message: 'this repository has no commit yet.', fix: 'commit what is to be judged.' });
      throw new ConfigurationError({
        message: `the commit ${ref} is not in this clone.`,
        fix: (await git.isShallow())
          ? 'the clone is shallow: fetch its history (actions/checkout with `fetch-depth: 0`, or `git fetch --unshallow`).'
          : await otherwise(ref),
      });
    },
    async exists(ref) {
      checkRef(ref);
      return (await quietly(['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`])) !== '';
    },
    async mergeBase(a, b) {
      const [from, to] = [await git.resolve(a), await git.resolve(b)];
      const base = await quietly(['merge-base', from, to]);
      if (base !== '') return base;
      throw new ConfigurationError({
        message: `${a} and ${b} have no common ancestor here.`,
        fix: (await git.isShallow())
          ? 'the clone is shallow: fetch its history (`fetch-depth: 0`).'
          : 'compare branches of one history.',
      });
    },
    async isShallow() {
      return (await client.raw('rev-parse', '--is-shallow-repository')).trim() === 'true';
    },
    async cleanHead() {
      if (!(await git.exists('HEAD'))) return undefined;
      const edits = await client.raw(['status', '--porcelain', '--untracked-files=no']);
      return edits.trim() === '' ? git.resolve('HEAD') : undefined;
    },
    async changedFiles(base, head) {
      const out = await client.raw('diff', '--name-only', '-z', '--no-renames', base, head, '--');
      return out
        .split('\0')
        .filter((name) => name !== '')
        .sort();
    },
    async raw(args) {
      return client.raw([...args]);
    },
    blobs: (specs) => catFile(root, specs),
    async pipe(args, input, env = {}) {
      const result = await exec('git', [...SETTING_ARGS, ...args], {
        cwd: root,
        env: { ...cleanEnvironment(), GIT_TERMINAL_PROMPT: '0', ...env },
        input,
        timeoutMs: TIMEOUT_MS,
      });
      if (result.code !== 0)
        throw new ExternalError(`git ${args[0]} ended with ${result.code}: ${result.stderr.trim().slice(0, 500)}`);
      return result.stdout;
    },
  };
  return git;
}

/** 64 MiB: larger blobs are given back as undefined by the caller's size rules before they matter. */
const MAX_BATCH_BYTES = 256 * 1024 * 1024;

async function catFile(root: string, specs: readonly string[]): Promise<(Buffer | undefined)[]> {
  if (specs.length === 0) return [];
  const child = spawn('git', [...SETTING_ARGS, 'cat-file', '--batch'], {
    cwd: root,
    env: cleanEnvironment(),
    stdio: ['pipe', 'pipe', 'ignore'],
    timeout: TIMEOUT_MS,
  });
  const chunks: Buffer[] = [];
  let size = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > MAX_BATCH_BYTES) child.kill();
    else chunks.push(chunk);
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(`${specs.join('\n')}\n`);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  }).catch((cause) => {
    throw new ExternalError('git could not be started: is it installed?', { cause });
  });
  if (size > MAX_BATCH_BYTES)
    throw new ConfigurationError(`the files asked for are larger than ${MAX_BATCH_BYTES} bytes together.`);
  if (code !== 0) throw new ExternalError(`git cat-file ended with ${code}.`);
  const all = Buffer.concat(chunks);
  const result: (Buffer | undefined)[] = [];
  let offset = 0;
  for (const _ of specs) {
    const end = all.indexOf(10, offset);
    const header = all.toString('utf8', offset, end);
    offset = end + 1;
    const match = / blob (?<size>\d+)$/.exec(header);
    if (match === null) {
      const other = /^[0-9a-f]+ (?:tree|commit|tag) (?<size>\d+)$/.exec(header);
      if (other !== null) offset += Number(other.groups!['size']) + 1;
      result.push(undefined);
      continue;
    }
    const length = Number(match.groups!['size']);
    result.push(all.subarray(offset, offset + length));
    offset += length + 1;
  }
  return result;
}
