/**
 * Builds dist/: the CLI, the Action, the workers and the solver's process, as ES modules that share chunks, and the licences of what is bundled.
 * `--check` builds into a temporary folder and compares with what is committed.
 */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { bundledPackages, licenceNotices } from './lib/licenses.ts';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');

const ENTRIES = {
  cli: 'src/cli.ts',
  action: 'src/action.ts',
  'policy-worker': 'src/policy/worker.ts',
  'judge-worker': 'src/canary/serve/worker.ts',
  'smt-process': 'src/policy/smt/z3-process.ts',
};

async function bundle(outdir: string): Promise<void> {
  const entryPoints = Object.fromEntries(Object.entries(ENTRIES).filter(([, file]) => existsSync(join(root, file))));
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints,
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    chunkNames: 'chunks/[name]-[hash]',
    // Readable enough to review, small enough to load fast; names stay for stack traces.
    minifyWhitespace: true,
    minifySyntax: true,
    keepNames: true,
    // THIRD_PARTY_LICENSES.txt has every licence whole.
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    // Some dependencies are CommonJS and call require() for Node's own modules.
    banner: {
      js: "import{createRequire as mixgateCreateRequire}from'node:module';const require=mixgateCreateRequire(import.meta.url);",
    },
  });
  chmodSync(join(outdir, 'cli.js'), 0o755);
  writeFileSync(join(outdir, 'THIRD_PARTY_LICENSES.txt'), licenceNotices(root, bundledPackages(metafile)));
}

function digests(dir: string): Map<string, string> {
  const result = new Map<string, string>();
  for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort()) {
    const file = join(dir, name);
    if (/\.(?:js|txt)$/.test(name)) result.set(name, createHash('sha256').update(readFileSync(file)).digest('hex'));
  }
  return result;
}

if (process.argv.includes('--check')) {
  const temporary = mkdtempSync(join(tmpdir(), 'mixgate-dist-'));
  try {
    await bundle(temporary);
    const [fresh, committed] = [digests(temporary), existsSync(dist) ? digests(dist) : new Map<string, string>()];
    const differing = [...new Set([...fresh.keys(), ...committed.keys()])].filter(
      (name) => fresh.get(name) !== committed.get(name),
    );
    if (differing.length > 0) {
      console.error(`dist/ is not current (${differing.join(', ')}): run \`npm run build\` and commit the result.`);
      process.exitCode = 1;
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
} else {
  rmSync(dist, { recursive: true, force: true });
  await bundle(dist);
}
