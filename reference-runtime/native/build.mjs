// Builds the tracing addon with the system's C compiler into native/build/<digest>/, once per source. Plain JavaScript: part of the set-up.
// No compiler, or another platform than Linux with glibc, is no error: tracing is then off and the reason says why.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const SOURCE = join(HERE, 'moe_trace.c');

/**
 * @param {string} folder
 * @returns {string} where the addon of this source and platform belongs
 */
function target(folder) {
  const digest = createHash('sha256')
    .update(readFileSync(SOURCE))
    .update(`${process.platform}-${process.arch}`)
    .digest('hex')
    .slice(0, 16);
  return join(folder, digest, 'moe_trace.node');
}

/**
 * Builds the addon unless it is there already.
 * @param {{ compiler?: string, platform?: string, folder?: string }} [options]
 * @returns {{ available: true, path: string } | { available: false, reason: string }}
 */
export function buildShim({ compiler = process.env.CC ?? 'cc', platform = process.platform, folder = join(HERE, 'build') } = {}) {
  if (platform !== 'linux')
    return { available: false, reason: `router tracing needs Linux symbol interposition; this is ${platform}` };
  const path = target(folder);
  if (existsSync(path)) return { available: true, path };
  const noted = join(dirname(path), 'failed.txt');
  const version = spawnSync(compiler, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  if (version.error || version.status !== 0)
    return {
      available: false,
      reason: `no C compiler (${compiler} could not be started): install gcc or clang, or set CC, then run: node reference-runtime/install.mjs`,
    };
  let include;
  try {
    include = createRequire(import.meta.url)('node-api-headers').include_dir;
  } catch {
    return { available: false, reason: 'the package node-api-headers is not installed: run node reference-runtime/install.mjs' };
  }
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(temporary, '');
  } catch {
    // A read-only installation whose addon is of another source: served untraced.
    return {
      available: false,
      reason: `the addon is not built, and ${folder} cannot be written: run node reference-runtime/install.mjs where it can`,
    };
  }
  const args = [
    '-shared',
    '-fPIC',
    '-O2',
    '-std=gnu11',
    '-Wall',
    '-Wextra',
    '-I',
    include,
    '-o',
    temporary,
    SOURCE,
    '-ldl',
    '-lpthread',
  ];
  const out = spawnSync(compiler, args, { encoding: 'utf8', timeout: 120_000, maxBuffer: 4 * 1024 * 1024 });
  if (out.status !== 0) {
    rmSync(temporary, { force: true });
    const text = `${out.stderr ?? ''}${out.error?.message ?? ''}`.trim();
    writeFileSync(noted, `${text}\n`);
    return { available: false, reason: `the C compiler refused moe_trace.c: ${text.split('\n')[0]}` };
  }
  renameSync(temporary, path);
  return { available: true, path };
}
