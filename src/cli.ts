#!/usr/bin/env node
import { main } from './commands/main.ts';

const controller = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => {
    controller.abort();
    // What is under way gets two seconds to clean up after itself.
    setTimeout(() => process.exit(130), 2_000).unref();
  });
}
process.stdout.on('error', () => undefined);

process.exitCode = await main({
  argv: process.argv.slice(2),
  env: process.env,
  cwd: process.cwd(),
  now: new Date().toISOString(),
  signal: controller.signal,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
});
