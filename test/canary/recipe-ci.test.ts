import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exec } from '../../src/tools/exec.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { ROOT, runCli } from '../support/cli.ts';

const page = readFileSync(join(ROOT, 'docs/recipes/ci.md'), 'utf8');
const block = (language: string): string => new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(page)![1]!;

let dir = '';
let path = '';
const servers: Server[] = [];

/** An endpoint that takes `delay` milliseconds, and fails every `failing`th request. */
async function endpoint(delay: number, failing = 0): Promise<string> {
  let count = 0;
  const server = createServer((request, response) => {
    count += 1;
    const status = failing > 0 && count % failing === 0 ? 500 : 200;
    request.resume().on('end', () => setTimeout(() => response.writeHead(status).end('{}'), delay));
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'mixgate-ci-'));
  writeFileSync(join(dir, 'canary.js'), block('js'));
  writeFileSync(
    join(dir, 'prompts.json'),
    JSON.stringify(['de', 'en'].map((segment) => ({ segment, prompt: `a prompt (${segment})` }))),
  );
  writeFileSync(join(dir, 'mixgate'), `#!/bin/sh\nexec "${process.execPath}" "${join(ROOT, 'src/cli.ts')}" "$@"\n`, {
    mode: 0o755,
  });
  path = [dir, dirname((await resolveTool('k6')).path), process.env['PATH']].join(delimiter);
}, 600_000);
afterAll(() => {
  for (const server of servers) server.close();
  rmSync(dir, { recursive: true, force: true });
});

describe('the CI recipe', () => {
  it.each([
    ['slower', [2, 20, 0], 1, 'is worse'],
    ['failing', [2, 2, 3], 1, 'http_req_failed'],
  ] as const)(
    'runs as it is written: a candidate that is %s',
    async (_title, [now, next, failing], code, words) => {
      const [baseline, candidate] = [await endpoint(now), await endpoint(next, failing)];
      const ran = await exec('bash', ['-c', block('bash')], {
        cwd: dir,
        env: { ...process.env, PATH: path, BASELINE: baseline, CANDIDATE: candidate, K6_NO_USAGE_REPORT: 'true' },
      });
      expect([ran.code, ran.stdout.includes(words)], ran.stdout + ran.stderr).toEqual([code, true]);
      expect(readFileSync(join(dir, 'canary.md'), 'utf8')).toContain('paired by pair id');
      expect(readFileSync(join(dir, 'canary.html'), 'utf8')).toContain('Segments: change of http_req_duration');
    },
    120_000,
  );

  it('a k6 that did not finish is inconclusive', async () => {
    const ran = await exec('bash', ['-c', `k6() { command k6 "$@"; return 107; }\n${block('bash')}`], {
      cwd: dir,
      env: { ...process.env, PATH: path, BASELINE: await endpoint(1), CANDIDATE: await endpoint(10), K6_NO_USAGE_REPORT: 'true' },
    });
    expect([ran.code, ran.stdout.includes('threw an exception (exit 107)')], ran.stdout + ran.stderr).toEqual([4, true]);
  }, 120_000);

  it('the CSV of the recipe is read', async () => {
    writeFileSync(join(dir, 'old.csv'), block('csv'));
    const judged = await runCli(['canary', 'judge', '--baseline', 'old.csv', '--candidate', 'old.csv'], { cwd: dir });
    expect(judged.code).toBe(2);
    writeFileSync(join(dir, 'new.csv'), block('csv'));
    const both = await runCli(['canary', 'judge', '--baseline', 'old.csv', '--candidate', 'new.csv'], { cwd: dir });
    expect([both.code, both.stdout.includes('1 points in the smaller arm')]).toEqual([4, true]);
    // Real times differ by chance; these have no difference but noise of their own.
    const [head] = block('csv').split('\n');
    for (const [file, seed] of [
      ['old.csv', 37],
      ['new.csv', 23],
    ] as const) {
      const rows = Array.from({ length: 60 }, (_, i) => `ttft_ms,${100 + ((i * seed) % 60) / 5},de,${i}`);
      writeFileSync(join(dir, file), [head, ...rows].join('\n'));
    }
    const enough = await runCli(['canary', 'judge', '--baseline', 'old.csv', '--candidate', 'new.csv'], { cwd: dir });
    expect([enough.code, enough.stdout.includes('paired by pair id')]).toEqual([0, true]);
  });
});
