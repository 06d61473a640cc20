// Programs and libraries of the tests out of Debian's archive (Ubuntu's too), unpacked into the tool cache: no root, nothing on the system
// changes. apt checks the archive's signatures and every package's hash.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheRoot } from '../../src/tools/cache.ts';

/** What to unpack where; `present` is a path inside `home` that is there once it is complete. */
export interface DebianPackages {
  readonly home: string;
  readonly packages: readonly string[];
  readonly present: string;
  /** Also whatever the packages need that this system has not installed. */
  readonly dependencies?: boolean;
}

/** Downloads and unpacks unless it is there. @throws Error from apt-get or dpkg */
export function debianPackages({ home, packages, present, dependencies = false }: DebianPackages): void {
  if (existsSync(join(home, present))) return;
  mkdirSync(cacheRoot(), { recursive: true });
  const work = mkdtempSync(join(cacheRoot(), 'debian-'));
  try {
    const archives = download(work, packages, dependencies);
    for (const archive of archives)
      execFileSync('dpkg', ['-x', archive, join(work, 'root')], { cwd: work, stdio: 'pipe', timeout: 120_000 });
    if (archives.length === 0) throw new Error(`apt-get had nothing to download for ${packages.join(', ')}`);
    try {
      renameSync(join(work, 'root'), home);
    } catch (error) {
      // Another test process was faster.
      if (!existsSync(join(home, present))) throw error;
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The .deb files. A fresh machine has no package lists, and reading them into the system's place needs root: then they go into the work folder. */
function download(work: string, packages: readonly string[], dependencies: boolean): string[] {
  const cache = join(work, 'cache');
  mkdirSync(join(cache, 'archives/partial'), { recursive: true });
  const run = (args: readonly string[]): void =>
    void execFileSync('apt-get', ['-o', 'APT::Sandbox::User=', ...args], { cwd: work, stdio: 'pipe', timeout: 300_000 });
  const get = (more: readonly string[]): void =>
    run(
      dependencies
        ? [
            ...more,
            '-o',
            `Dir::Cache=${cache}`,
            '-o',
            'Debug::NoLocking=1',
            '--download-only',
            '--no-install-recommends',
            '-y',
            'install',
            ...packages,
          ]
        : [...more, 'download', ...packages],
    );
  try {
    get([]);
  } catch {
    mkdirSync(join(work, 'lists/partial'), { recursive: true });
    const own = ['-o', `Dir::State::Lists=${join(work, 'lists')}`, '-o', `Dir::Cache=${cache}`];
    run([...own, 'update']);
    get(own);
  }
  return [work, join(cache, 'archives')].flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.deb'))
      .map((name) => join(folder, name)),
  );
}
