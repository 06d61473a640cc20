// The first configuration of README.md, done as it says: the bundle built, the token made, the file written, the request sent.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { temporary } from './support/models.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const dir = temporary();
let child: ChildProcess | undefined;
afterAll(async () => {
  if (child?.exitCode === null) {
    const ended = new Promise((resolve) => child?.once('close', resolve));
    child.kill('SIGTERM');
    await ended;
  }
  dir.remove();
});

/** The indented commands of a text, lines that end in a backslash joined. */
function commands(text: string): string[] {
  return text
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.startsWith('    '))
    .map((line) => line.trim());
}

it('a first configuration serves, as README.md has it', async () => {
  const readme = readFileSync(`${ROOT}/reference-runtime/README.md`, 'utf8');
  const section = /^## A first configuration\n(?<text>[\s\S]*?)^## /m.exec(readme)?.groups?.['text'] ?? '';
  const yaml = /```yaml\n(?<yaml>[\s\S]*?)```/.exec(section)?.groups?.['yaml'] ?? '';
  const [find = '', build = '', , , serve = '', curl = ''] = commands(section.replace(/```yaml[\s\S]*?```/, ''));
  for (const name of ['examples', 'reference-runtime']) symlinkSync(`${ROOT}/${name}`, dir.file(name));

  // The bundle of the CLI may not be built here; its source answers alike.
  const doctor = find.replace('dist/cli.js', `${ROOT}/src/cli.ts`);
  execFileSync('bash', ['-c', `${doctor}\n${build}`], { cwd: dir.path });
  const token = randomBytes(24).toString('hex');
  const digest = createHash('sha256').update(token).digest('hex');
  writeFileSync(dir.file('runtime.yaml'), yaml.replace('0'.repeat(64), digest));

  const [node, script, ...args] = serve.split(' ');
  expect([node, args[0]]).toEqual(['node', 'serve']);
  child = spawn(process.execPath, [script as string, ...args, '--port', '0'], {
    cwd: dir.path,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    let stderr = '';
    child?.stderr?.on('data', (data) => {
      stderr += data;
      const found = /^listening on (http:\S+)$/m.exec(stderr)?.[1];
      if (found !== undefined) resolve(found);
    });
    child?.once('close', () => reject(new Error(stderr)));
  });

  const headers = [...curl.matchAll(/-H ['"](?<name>[^:]+): (?<value>[^'"]+)['"]/g)].map(({ groups }): [string, string] => [
    groups?.['name'] ?? '',
    (groups?.['value'] ?? '').replace('$TOKEN', token),
  ]);
  const body = / -d '(?<body>[^']+)'/.exec(curl)?.groups?.['body'] ?? '';
  const path = /localhost:8080(?<path>\S+)/.exec(curl)?.groups?.['path'] ?? '';
  const send = (given: Array<[string, string]>): Promise<Response> =>
    fetch(`${url}${path}`, { method: 'POST', headers: Object.fromEntries(given), body });
  const answer = await send(headers);
  expect(answer.status, await answer.clone().text()).toBe(200);
  expect(await answer.json()).toMatchObject({ object: 'chat.completion', model: 'mixtral-micro' });

  // What it says of a request without the headers, and of one without the token.
  const denied = await send(headers.filter(([name]) => !name.startsWith('x-mixgate-')));
  expect([denied.status, await denied.text()]).toEqual([403, expect.stringContaining('DATA_CLASS_MISSING')]);
  expect((await send(headers.filter(([name]) => name !== 'authorization'))).status).toBe(401);
  await expect.poll(() => readFileSync(dir.file('decisions.ndjson'), 'utf8').trim().split('\n').length).toBe(2);
  expect(readFileSync(dir.file('decisions.ndjson'), 'utf8')).not.toContain('spiffe://');
});
