import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** A real Git repository in a temporary folder. */
export interface TestRepo extends Disposable {
  readonly dir: string;
  write(files: { readonly [path: string]: string | Uint8Array }): void;
  /** Writes files, commits everything, returns the commit id. */
  commit(files: { readonly [path: string]: string | Uint8Array }, message?: string): string;
  git(...args: string[]): string;
}

const IDENTITY = {
  GIT_AUTHOR_NAME: 'Test',
  GIT_AUTHOR_EMAIL: 'test@example.com',
  GIT_AUTHOR_DATE: '2026-01-01T00:00:00Z',
  GIT_COMMITTER_NAME: 'Test',
  GIT_COMMITTER_EMAIL: 'test@example.com',
  GIT_COMMITTER_DATE: '2026-01-01T00:00:00Z',
  GIT_CONFIG_GLOBAL: '/dev/null',
};

export function testRepo(files: { readonly [path: string]: string | Uint8Array } = {}): TestRepo {
  const dir = mkdtempSync(join(tmpdir(), 'mixgate-repo-'));
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: dir, encoding: 'utf8', env: { ...process.env, ...IDENTITY } }).trim();
  const write = (more: { readonly [path: string]: string | Uint8Array }): void => {
    for (const [path, content] of Object.entries(more)) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), content);
    }
  };
  git('init', '-q', '-b', 'main');
  const repo: TestRepo = {
    dir,
    git,
    write,
    commit(more, message = 'change') {
      write(more);
      git('add', '-A');
      git('commit', '-q', '--allow-empty', '-m', message);
      return git('rev-parse', 'HEAD');
    },
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
  if (Object.keys(files).length > 0) repo.commit(files, 'first');
  return repo;
}
