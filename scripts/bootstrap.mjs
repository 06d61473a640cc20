/**
 * Sets everything up and runs a task. Plain JavaScript for Node 20 and up: it runs before anything is installed.
 *   node scripts/bootstrap.mjs                    set up only
 *   node scripts/bootstrap.mjs demo|test|check    set up, then run the task; further arguments go to it
 * Does nothing, silently, where nothing is to be done.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const [task, ...rest] = process.argv.slice(2);
const TASKS = {
  demo: { script: 'scripts/demo.ts', needs: ['runtime', 'tools'] },
  test: { script: 'scripts/test.ts', needs: ['runtime', 'tools', 'test-tools'] },
  check: { script: 'scripts/check.ts', needs: ['runtime', 'tools', 'test-tools'] },
};

if (task !== undefined && !(task in TASKS)) fail(`unknown task ${task}: one of ${Object.keys(TASKS).join(', ')}`, 2);

const started = Date.now();
let worked = false;
const major = Number(process.versions.node.split('.')[0]);
if (major < 20)
  fail(`Node ${process.versions.node} is too old: mixgate needs Node 20 or newer (Node 24 is then installed beside it).`, 2);

installRoot();
const node = findNode24();
const needs = task === undefined ? ['runtime', 'tools'] : TASKS[task].needs;
const env = { ...process.env, PATH: [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter) };
// The tests run the Vulkan engine too, on a software device; where there is no build of it they say so.
const gpu = needs.includes('test-tools') && `${process.platform}-${process.arch}` === 'linux-x64' ? ['--gpu', 'vulkan'] : [];
if (needs.includes('runtime')) step([join(root, 'reference-runtime/install.mjs'), ...gpu]);
if (needs.includes('tools')) step([join(root, 'scripts/tools.ts'), ...(needs.includes('test-tools') ? ['--test'] : [])]);
if (worked || Date.now() - started > 10_000) say(`set-up done in ${Math.round((Date.now() - started) / 1000)} s`);
if (task !== undefined) {
  const result = spawnSync(node, [join(root, TASKS[task].script), ...rest], { cwd: root, stdio: 'inherit', env });
  process.exit(result.status ?? 1);
}
if (task === undefined && !worked) say('everything is installed');

function installRoot() {
  const stamp = join(root, 'node_modules/.mixgate-stamp');
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(`${process.platform}-${process.arch}`)
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  say('installing dependencies and Node 24 from package-lock.json (usually 20 to 60 s)');
  worked = true;
  rmSync(stamp, { force: true });
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0)
    fail('npm ci failed (see above). It needs the npm registry, or a mirror of it in your npm configuration.', 3);
  writeFileSync(stamp, lock);
}

function findNode24() {
  if (major >= 24) return process.execPath;
  const bundled = join(root, `node_modules/node-${process.platform}-${process.arch}/bin/node`);
  if (existsSync(bundled)) return bundled;
  return fail(
    `Node 24 is not packaged for ${process.platform}-${process.arch}: install it (https://nodejs.org) and run this again.`,
    3,
  );
}

function step(args) {
  const before = Date.now();
  const result = spawnSync(node, args, { cwd: root, stdio: 'inherit', env });
  if (result.status !== 0) process.exit(result.status ?? 3);
  if (Date.now() - before > 5_000) worked = true;
}

function say(text) {
  process.stderr.write(`mixgate set-up: ${text}\n`);
}

function fail(text, code) {
  say(text);
  process.exit(code);
}
