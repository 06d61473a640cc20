import { runAction } from './action/run.ts';

const controller = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => {
    controller.abort(name);
    // The runner kills the process 7.5 s after SIGINT; what is under way gets less than that to end by itself.
    setTimeout(() => process.exit(3), 6_000).unref();
  });
}

const code = await runAction({
  env: process.env,
  now: process.env['MIXGATE_NOW'] ?? new Date().toISOString(),
  signal: controller.signal,
});
// Idle connections must not hold the job open; what was printed must be out first.
process.stdout.write('', () => process.exit(code));
