import { randomBytes } from 'node:crypto';
import { chmod, copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Progress } from '../core/context.ts';
import { ExternalError, messageOf } from '../core/errors.ts';
import { sha256 } from '../core/json.ts';
import { readBounded } from '../core/read-bounded.ts';
import { exec } from './exec.ts';
import { packageRoot } from './package-root.ts';
import type { ReleaseFile, ToolPin } from './pins.ts';

/** Time until the first byte of a release: short, so that a closed network fails over to building quickly. */
const CONNECT_TIMEOUT_MS = 5_000;
const DOWNLOAD_TIMEOUT_MS = 120_000;
const BUILD_TIMEOUT_MS = 20 * 60_000;
const MAX_RELEASE_BYTES = 300 * 1024 * 1024;

export type InstallSource = 'download' | 'build';

export interface InstallOptions {
  readonly target: string;
  readonly platform: string;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
  /** Skips a way in: for machines without network, or to force a build. */
  readonly ways?: readonly InstallSource[];
  /** Folder with <tool>/go.mod and go.sum; default the package's own. */
  readonly modulesDir?: string;
}

/** Installs a pinned program: the release file with the pinned hash, else a build of the same version from source. */
export async function installTool(pin: ToolPin, options: InstallOptions): Promise<InstallSource> {
  const ways = options.ways ?? ['download', 'build'];
  const failures: string[] = [];
  const release = pin.releases[options.platform];
  if (ways.includes('download')) {
    if (release === undefined)
      failures.push(`download: no trustworthy hash is known for ${options.platform}, so no release file is used`);
    else {
      options.progress.step(`${pin.name} ${pin.version}: downloading ${release.url}`);
      try {
        await download(release, options);
        return 'download';
      } catch (error) {
        failures.push(`download: ${messageOf(error)}`);
      }
    }
  }
  if (ways.includes('build')) {
    try {
      await build(pin, options);
      return 'build';
    } catch (error) {
      failures.push(`build: ${messageOf(error)}`);
    }
  }
  throw new ExternalError({
    message: `${pin.name} ${pin.version} could not be installed: ${failures.join('; ')}.`,
    fix: `install Go 1.26 or newer (it is built from tools/${pin.name}/go.mod), or allow the download, or put ${pin.name} ${pin.version} on PATH.`,
  });
}

async function download(release: ReleaseFile, options: InstallOptions): Promise<void> {
  const bytes = await fetchLimited(release.url, options.signal);
  const actual = sha256(bytes);
  if (actual !== release.sha256)
    throw new Error(`SHA-256 of ${release.url} is ${actual}, pinned is ${release.sha256}; the file was thrown away`);
  await mkdir(dirname(options.target), { recursive: true });
  const temporary = `${options.target}.${randomBytes(6).toString('hex')}`;
  try {
    if (release.member === undefined) {
      await writeFile(temporary, bytes);
    } else {
      const folder = `${temporary}.d`;
      await mkdir(folder, { recursive: true });
      try {
        const result = await exec('tar', ['-xzf', '-', '-C', folder, release.member], { input: bytes });
        if (result.code !== 0) throw new Error(`tar could not unpack it: ${result.stderr.trim()}`);
        await copyFile(join(folder, release.member), temporary);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    }
    await chmod(temporary, 0o755);
    await rename(temporary, options.target);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function fetchLimited(url: string, outer: AbortSignal | undefined): Promise<Buffer> {
  const connect = new AbortController();
  const timer = setTimeout(() => connect.abort(new Error(`no answer within ${CONNECT_TIMEOUT_MS / 1000} s`)), CONNECT_TIMEOUT_MS);
  const signals = [connect.signal, AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS), ...(outer === undefined ? [] : [outer])];
  try {
    const response = await fetch(url, { signal: AbortSignal.any(signals), redirect: 'follow' });
    clearTimeout(timer);
    if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
    return await readBounded(response.body, MAX_RELEASE_BYTES, () => new Error(`larger than ${MAX_RELEASE_BYTES} bytes`));
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
    throw new Error(`${messageOf(error)}${cause}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** `go build` in tools/<name>/, whose go.sum pins every byte. Go's own caches are used and left where Go keeps them. */
async function build(pin: ToolPin, options: InstallOptions): Promise<void> {
  const module = join(options.modulesDir ?? join(packageRoot(), 'tools'), pin.name);
  const started = Date.now();
  options.progress.step(`${pin.name} ${pin.version}: building from source with Go (usually ${pin.usualBuildTime}, once)`);
  const timer = setInterval(
    () => options.progress.step(`${pin.name}: still building, ${Math.round((Date.now() - started) / 1000)} s`),
    30_000,
  );
  await mkdir(dirname(options.target), { recursive: true });
  const temporary = `${options.target}.${randomBytes(6).toString('hex')}`;
  try {
    const result = await exec(
      'go',
      ['build', '-mod=readonly', '-trimpath', '-ldflags', '-s -w', '-o', temporary, pin.goPackage],
      {
        cwd: module,
        env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false', GOWORK: 'off' },
        timeoutMs: BUILD_TIMEOUT_MS,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      },
    );
    if (result.timedOut) throw new Error(`go build took more than ${BUILD_TIMEOUT_MS / 60_000} minutes`);
    if (result.code !== 0) throw new Error(`go build failed: ${result.stderr.trim().split('\n').slice(-3).join(' / ')}`);
    await rename(temporary, options.target);
  } finally {
    clearInterval(timer);
    await rm(temporary, { force: true });
  }
}
