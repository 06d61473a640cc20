// Compiles dev-policy/policy to the committed bundle: node reference-runtime/dev-policy/build.ts [OUT]. Needs `opa` on PATH or in OPA.
// The revision is the digest of the sources, so that the same sources give the same bundle.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleFromArchive } from '../src/policy/bundle.ts';

const SOURCES = ['routing.rego', 'data.json'];

/** Builds the bundle into `out`. */
export async function buildDevPolicy(out: string, opa: string): Promise<void> {
  const policy = fileURLToPath(new URL('./policy', import.meta.url));
  const hash = createHash('sha256');
  for (const name of SOURCES) hash.update(readFileSync(join(policy, name)));
  const work = mkdtempSync(join(tmpdir(), 'dev-policy-'));
  try {
    const archive = join(work, 'bundle.tar.gz');
    const revision = hash.digest('hex').slice(0, 12);
    execFileSync(opa, ['build', '-t', 'wasm', '-e', 'routing/decision', '--revision', revision, '-b', '-o', archive, '.'], {
      // The module names its source files: by their path from here, or every checkout would compile to other bytes.
      cwd: policy,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const bundle = await bundleFromArchive(readFileSync(archive), archive);
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, 'policy.wasm'), bundle.wasm);
    writeFileSync(join(out, 'data.json'), `${JSON.stringify(bundle.data, undefined, 2)}\n`);
    writeFileSync(join(out, '.manifest'), `${JSON.stringify({ revision, roots: [''] }, undefined, 2)}\n`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  await buildDevPolicy(process.argv[2] ?? fileURLToPath(new URL('./bundle', import.meta.url)), process.env['OPA'] ?? 'opa');
}
