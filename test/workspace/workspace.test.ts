import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../src/core/errors.ts';
import { changeOfEvent } from '../../src/workspace/event.ts';
import { checkRef, openGit, whyNotOpened } from '../../src/workspace/git.ts';
import { commitTree, folderTree, glob, materialize, subtree } from '../../src/workspace/tree.ts';
import { runCli } from '../support/cli.ts';
import { testRepo } from '../support/repo.ts';

describe('trees', () => {
  it('reads a commit, not what was edited since', async () => {
    using repo = testRepo({ 'a.txt': 'one', 'dir/b.txt': 'two' });
    repo.write({ 'a.txt': 'edited' });
    const tree = await commitTree(await openGit(repo.dir), 'main');
    expect(await tree.list()).toEqual(['a.txt', 'dir/b.txt']);
    expect(String(await tree.read('a.txt'))).toBe('one');
    expect(String(await folderTree(repo.dir).read('a.txt'))).toBe('edited');
    expect(await tree.read('missing')).toBeUndefined();
  });

  it('treats names with spaces, quotes and non-ASCII letters as any other', async () => {
    using repo = testRepo({ 'ä b"c.txt': 'x', 'ünder/é.txt': 'y' });
    const tree = await commitTree(await openGit(repo.dir), 'HEAD');
    expect([...(await tree.readMany(await tree.list())).entries()].map(([path, bytes]) => [path, String(bytes)])).toEqual([
      ['ä b"c.txt', 'x'],
      ['ünder/é.txt', 'y'],
    ]);
  });

  it('never follows a link, in a commit or in a folder', async () => {
    using repo = testRepo({ 'a.txt': 'x' });
    symlinkSync('/etc/passwd', join(repo.dir, 'link'));
    symlinkSync('/etc', join(repo.dir, 'etc'));
    repo.commit({}, 'links');
    const tree = await commitTree(await openGit(repo.dir), 'HEAD');
    const folder = folderTree(repo.dir);
    expect(await tree.list()).toEqual(['a.txt']);
    expect(await folder.list()).toEqual(['a.txt']);
    for (const side of [tree, folder]) {
      expect(await side.read('link')).toBeUndefined();
      expect(await side.read('etc/passwd')).toBeUndefined();
    }
  });

  it.each(['../outside', '/etc/passwd', 'a/../../b'])('refuses the path %s', async (path) => {
    using repo = testRepo({ 'a.txt': 'x' });
    await expect(folderTree(repo.dir).read(path)).rejects.toThrow(/leads out of the repository/);
  });

  it('a subtree shows its part under its own names; materialize writes it and removes it', async () => {
    using repo = testRepo({ 'fleet/a/x.yaml': '1', 'fleet/b.yaml': '2', 'other.yaml': '3' });
    const tree = subtree(await commitTree(await openGit(repo.dir), 'HEAD'), 'fleet');
    expect(await tree.list()).toEqual(['a/x.yaml', 'b.yaml']);
    expect(await glob(tree, ['a', '*.yaml'])).toEqual(['a/x.yaml', 'b.yaml']);
    let dir = '';
    {
      await using files = await materialize(tree, ['a']);
      dir = files.dir;
      expect(await readFile(join(dir, 'a/x.yaml'), 'utf8')).toBe('1');
    }
    await expect(readFile(join(dir, 'a/x.yaml'))).rejects.toThrow(/ENOENT/);
  });

  it('leaves .git and node_modules of a folder alone', async () => {
    using repo = testRepo({ 'a.txt': 'x' });
    mkdirSync(join(repo.dir, 'node_modules/x'), { recursive: true });
    writeFileSync(join(repo.dir, 'node_modules/x/y'), '');
    expect(await folderTree(repo.dir).list()).toEqual(['a.txt']);
  });
});

describe('git', () => {
  it('explains a commit that is missing from a shallow clone', async () => {
    using origin = testRepo({ 'a.txt': '1' });
    const first = origin.git('rev-parse', 'HEAD');
    origin.commit({ 'a.txt': '2' });
    using clone = testRepo();
    clone.git('fetch', '-q', '--depth=1', `file://${origin.dir}`, 'main');
    clone.git('checkout', '-q', 'FETCH_HEAD');
    const git = await openGit(clone.dir);
    expect(await git.isShallow()).toBe(true);
    await expect(git.resolve(first)).rejects.toThrow(
      /is not in this clone\. Fix: the clone is shallow: fetch its history \(actions\/checkout with `fetch-depth: 0`/,
    );
  });

  it('says so outside a repository', async () => {
    await expect(openGit('/')).rejects.toThrow(/is not inside a Git repository/);
  });

  it.each([
    [
      "fatal: detected dubious ownership in repository at '/work/fleet'\nTo add an exception",
      /^Git does not trust \/work\/fleet: .* --add safe\.directory "\/work\/fleet"/,
    ],
    ['Error: spawn git ENOENT', /^Git could not be started: it is not on the PATH\. Fix: install Git/],
    ['fatal: not a git repository', /^\/x is not inside a Git repository/],
  ])('says what %s means', (text, expected) => {
    expect(whyNotOpened(new Error(text), '/x').message).toMatch(expected);
  });

  it('says that Git is missing where it is', async () => {
    using repo = testRepo({ 'mixgate.yaml': 'version: 1\nslo:\n  files: [a.yaml]\n' });
    const ran = await runCli(['check', '--base', 'main'], { cwd: repo.dir, env: { PATH: '/nonexistent' } });
    expect([ran.code, ran.stderr]).toEqual([3, expect.stringContaining('mixgate: Git could not be started')]);
  });

  it('does not run hooks or a file-system monitor of the repository', async () => {
    using repo = testRepo({ 'a.txt': 'x' });
    const marker = join(repo.dir, 'ran');
    writeFileSync(join(repo.dir, '.git/monitor'), `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 });
    repo.git('config', 'core.fsmonitor', join(repo.dir, '.git/monitor'));
    const git = await openGit(repo.dir);
    await git.raw(['status', '--porcelain']);
    expect(await folderTree(repo.dir).list()).not.toContain('ran');
  });

  it.each(['--output=/tmp/x', '-x', 'a..b', 'a b', '', ':/x', 'a\nb'])('refuses the ref %j', (ref) => {
    expect(() => checkRef(ref)).toThrow(ConfigurationError);
  });
});

describe('a fleet in a large repository', () => {
  it('is counted by itself, whatever else is there and whatever its folder is called', async () => {
    using repo = testRepo({ 'fleets/chat [1]/mixgate.yaml': 'version: 1\n', 'fleets/chat [1]b/x.yaml': 'a: 1\n' });
    const lines = Array.from({ length: 50_001 }, (_, index) => `M 100644 :1 src/${index}\n`).join('');
    execFileSync('git', ['fast-import', '--quiet'], {
      cwd: repo.dir,
      input: `blob\nmark :1\ndata 1\nx\ncommit refs/heads/big\ncommitter T <t@example.com> 0 +0000\ndata 0\nfrom refs/heads/main\n${lines}`,
    });
    const git = await openGit(repo.dir);
    await expect((await commitTree(git, 'big')).list()).rejects.toThrow(/more than 50000 files; point -C at the part/);
    const folder = 'fleets/chat [1]';
    expect(await subtree(await commitTree(git, 'big', folder), folder).list()).toEqual(['mixgate.yaml']);
    // From a folder below the root, too.
    const below = await openGit(join(repo.dir, folder));
    expect(await subtree(await commitTree(below, 'big', folder), folder).list()).toEqual(['mixgate.yaml']);
  });
});

describe('changeOfEvent', () => {
  const zero = '0'.repeat(40);
  it.each([
    [
      'pull_request',
      { number: 7, pull_request: { number: 7, base: { sha: 'b', ref: 'main' }, head: { sha: 'h', repo: { fork: false } } } },
      { base: 'b', head: 'h', pullRequest: { number: 7, fork: false, baseRef: 'main' } },
    ],
    [
      'pull_request',
      { number: 7, pull_request: { number: 7, base: { sha: 'b', ref: 'main' }, head: { sha: 'h', repo: null } } },
      { pullRequest: { fork: true } },
    ],
    [
      'pull_request_target',
      { number: 8, pull_request: { number: 8, base: { sha: 'b', ref: 'main' }, head: { sha: 'h', repo: { fork: true } } } },
      { base: 'b', pullRequest: { fork: true } },
    ],
    [
      'pull_request',
      {
        number: 9,
        pull_request: {
          number: 9,
          base: { sha: 'b', ref: 'main', repo: { full_name: 'acme/fleet', fork: true } },
          head: { sha: 'h', repo: { full_name: 'acme/fleet', fork: true } },
        },
      },
      { pullRequest: { fork: false } },
    ],
    [
      'pull_request',
      {
        number: 9,
        pull_request: {
          number: 9,
          base: { sha: 'b', ref: 'main', repo: { full_name: 'acme/fleet' } },
          head: { sha: 'h', repo: { full_name: 'somebody/fleet', fork: true } },
        },
      },
      { pullRequest: { fork: true } },
    ],
    ['merge_group', { merge_group: { base_sha: 'b', head_sha: 'h' } }, { base: 'b', head: 'h' }],
    ['push', { before: 'b', after: 'h' }, { base: 'b', head: 'h' }],
    ['push', { before: zero, after: 'h' }, { base: undefined, head: 'h' }],
    ['schedule', {}, { base: undefined, head: 'sha' }],
    ['workflow_dispatch', {}, { base: undefined, head: 'sha' }],
  ])('%s', (event, payload, expected) => {
    expect(changeOfEvent(event, payload, 'sha')).toMatchObject({ event, ...expected });
  });
  it.each([
    ['issue_comment', {}, /does not know the event "issue_comment"/],
    ['pull_request', {}, /the pull_request event has no pull_request/],
    ['pull_request', { pull_request: { base: {}, head: {} } }, /has no pull_request\.base\.sha/],
    ['push', { before: 'b', after: zero }, /deletes a branch/],
    ['merge_group', null, /has no the event payload|event payload/],
  ])('%s with %j is an error, never a pass', (event, payload, expected) => {
    expect(() => changeOfEvent(event, payload, 'sha')).toThrow(expected);
  });
});
