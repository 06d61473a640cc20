#!/usr/bin/env node
// Starts the runtime. Plain JavaScript for Node 20 and up: installs what is missing, finds Node 24, and hands over to src/cli.ts there.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { findNode, InstallError, install, isInstalled } from '../install.mjs';

const CLI = fileURLToPath(new URL('../src/cli.ts', import.meta.url));

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(3);
}

try {
  if (!isInstalled()) install();
} catch (error) {
  fail(error instanceof InstallError ? error.message : String(error?.stack));
}
const node = findNode();
if (node === undefined)
  fail('mixgate-runtime: Node 24 was not found after the installation; run: node reference-runtime/install.mjs');

if (node === process.execPath) {
  const { main } = await import('../src/cli.ts');
  await main(process.argv.slice(2));
} else {
  const child = spawn(node, [CLI, ...process.argv.slice(2)], { stdio: 'inherit' });
  // A signal to the launcher is meant for the server: it decides when to stop, the launcher only passes on how it ended.
  const passedOn = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of passedOn) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`mixgate-runtime: ${node} could not be started: ${error.message}`));
  child.on('exit', (code, signal) => {
    // It ends as the server did, and not by the handler that passes signals on.
    for (const each of passedOn) process.removeAllListeners(each);
    if (signal !== null) process.kill(process.pid, signal);
    else process.exitCode = code ?? 3;
  });
}
