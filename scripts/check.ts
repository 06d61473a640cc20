/** The standard check: format and lint, types, generated files, the committed bundle, then every test. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = (name: string): string => join(root, 'node_modules/.bin', name);
const STEPS: readonly { readonly what: string; readonly command: string; readonly args: readonly string[] }[] = [
  { what: 'format and lint', command: bin('biome'), args: ['check', '--error-on-warnings', '.'] },
  { what: 'types', command: bin('tsc'), args: ['--noEmit'] },
  { what: 'generated schemas are current', command: process.execPath, args: ['scripts/generate.ts', '--check'] },
  { what: 'dist/ is current', command: process.execPath, args: ['scripts/build.ts', '--check'] },
  { what: 'tests', command: process.execPath, args: ['scripts/test.ts'] },
];

let failed = 0;
for (const { what, command, args } of STEPS) {
  const started = Date.now();
  console.log(`== ${what}`);
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  const ok = result.status === 0;
  if (!ok) failed += 1;
  console.log(`== ${what}: ${ok ? 'ok' : 'FAILED'} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
}
process.exit(failed === 0 ? 0 : 1);
