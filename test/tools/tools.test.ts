import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentProgress } from '../../src/core/context.ts';
import { exec } from '../../src/tools/exec.ts';
import { installTool } from '../../src/tools/install.ts';
import { TEST_TOOL_PINS, TOOL_PINS, type ToolPin } from '../../src/tools/pins.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { runCli, runProcess } from '../support/cli.ts';

const SCRIPT = '#!/bin/sh\necho "demo 1.0.0"\n';
const sha = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');

let dir: string;
let server: Server;
let url: string;
let answers: Record<string, Buffer>;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'mixgate-tools-'));
  answers = {};
  server = createServer((request, response) => {
    const body = answers[request.url ?? ''];
    response.writeHead(body === undefined ? 404 : 200).end(body);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

const pin = (release: Partial<ToolPin['releases'][string]>): ToolPin => ({
  name: 'demo',
  version: '1.0.0',
  goPackage: 'example.com/demo',
  versionCommand: [],
  versionPattern: /demo (?<version>\S+)/,
  usualBuildTime: 'a moment',
  releases: { here: { url: `${url}/demo`, sha256: sha(SCRIPT), hashSource: 'this test', ...release } },
});
const install = (p: ToolPin, ways: readonly ('download' | 'build')[] = ['download']) =>
  installTool(p, {
    target: join(dir, 'bin/demo'),
    platform: 'here',
    progress: silentProgress,
    ways,
    modulesDir: join(dir, 'tools'),
  });

describe('installTool', () => {
  it('installs a release whose hash is the pinned one', async () => {
    answers['/demo'] = Buffer.from(SCRIPT);
    expect(await install(pin({}))).toBe('download');
    expect((await exec(join(dir, 'bin/demo'), [])).stdout).toBe('demo 1.0.0\n');
  });

  it('unpacks the named member of an archive after the hash is checked', async () => {
    mkdirSync(join(dir, 'pack/demo-1.0.0'), { recursive: true });
    writeFileSync(join(dir, 'pack/demo-1.0.0/demo'), SCRIPT);
    await exec('tar', ['-czf', join(dir, 'demo.tar.gz'), '-C', join(dir, 'pack'), 'demo-1.0.0']);
    const archive = readFileSync(join(dir, 'demo.tar.gz'));
    answers['/demo'] = archive;
    await install(pin({ sha256: sha(archive), member: 'demo-1.0.0/demo' }));
    expect((await exec(join(dir, 'bin/demo'), [])).stdout).toBe('demo 1.0.0\n');
  });

  it('throws away a file with another hash and leaves nothing behind', async () => {
    answers['/demo'] = Buffer.from('#!/bin/sh\necho evil\n');
    await expect(install(pin({}))).rejects.toThrow(
      /SHA-256 of .* is [0-9a-f]{64}, pinned is [0-9a-f]{64}; the file was thrown away/,
    );
    expect(readdirSync(dir)).toEqual([]);
  });

  it('names both ways when neither works', async () => {
    mkdirSync(join(dir, 'tools/demo'), { recursive: true });
    writeFileSync(join(dir, 'tools/demo/go.mod'), 'module demo\n\ngo 1.26\n');
    await expect(install(pin({}), ['download', 'build'])).rejects.toThrow(
      /demo 1\.0\.0 could not be installed: download: HTTP 404; build: go build failed: .*Fix: install Go 1\.26 or newer/s,
    );
  });

  it('uses no release file on a platform without a trustworthy hash', async () => {
    await expect(install({ ...pin({}), releases: {} })).rejects.toThrow(/no trustworthy hash is known for here/);
  });
});

describe('resolveTool', () => {
  it('finds each pinned tool at exactly the pinned version', async () => {
    for (const { name, version } of Object.values({ ...TOOL_PINS, ...TEST_TOOL_PINS }))
      expect(await resolveTool(name, { install: false })).toMatchObject({ name, version });
  });

  it('passes over another version on PATH, and says what to do when nothing is left', async () => {
    writeFileSync(join(dir, 'opa'), '#!/bin/sh\necho "Version: 0.1.0"\n', { mode: 0o755 });
    await expect(
      resolveTool('opa', { install: false, env: { PATH: dir, MIXGATE_CACHE: join(dir, 'cache'), HOME: dir } }).then(
        (tool) => tool.path,
      ),
    ).resolves.not.toBe(join(dir, 'opa'));
    // A process of its own: the result is kept for the life of a process.
    const program = `import { resolveTool } from ${JSON.stringify(join(import.meta.dirname, '../../src/tools/resolve.ts'))}; await resolveTool('opa', { install: false }).catch((e) => console.log(e.message));`;
    const ran = await runProcess(process.execPath, ['--input-type=module', '-e', program], {
      env: { PATH: dir, MIXGATE_CACHE: join(dir, 'cache') },
    });
    expect(ran.stdout).toBe('opa 1.21.1 is not installed. Fix: run `mixgate doctor --install`.\n');
  });

  it('doctor says the same to a program: state and detail of each tool, exit code by what is missing', async () => {
    const found = await runCli(['doctor', '--only', 'opa', '--format', 'json']);
    expect(found.code).toBe(0);
    expect(JSON.parse(found.stdout)).toMatchObject({ checks: [{ name: 'opa', state: 'ok' }] });
    const missing = await runCli(['doctor', '--only', 'opa', '--format', 'json'], {
      env: { PATH: dir, MIXGATE_CACHE: join(dir, 'cache') },
    });
    expect(missing.code).toBe(3);
    expect(JSON.parse(missing.stdout)).toMatchObject({ checks: [{ name: 'opa', state: 'missing' }] });
  });

  it('every hash in the table says where it is from, and has 64 hex digits', () => {
    for (const tool of Object.values({ ...TOOL_PINS, ...TEST_TOOL_PINS }) as ToolPin[]) {
      for (const release of Object.values(tool.releases)) {
        expect(release.sha256).toMatch(/^[0-9a-f]{64}$/);
        expect(release.hashSource).not.toBe('');
        expect(release.url).toContain(tool.version);
      }
      expect(readFileSync(join(import.meta.dirname, `../../tools/${tool.name}/go.mod`), 'utf8')).toContain(
        `${tool.versionModule ?? tool.goPackage} v${tool.version}`,
      );
    }
  });
});

describe('exec', () => {
  it('gives code and output', async () => {
    expect(await exec('sh', ['-c', 'cat; echo err >&2; exit 3'], { input: 'in' })).toEqual({
      code: 3,
      stdout: 'in',
      stderr: 'err\n',
      timedOut: false,
    });
  });
  it('kills a program and its children at the time limit', async () => {
    const result = await exec('sh', ['-c', 'sleep 60 & sleep 60'], { timeoutMs: 200 });
    expect(result.timedOut).toBe(true);
  });
  it('stops a program that prints without end', async () => {
    await expect(exec('yes', [], { maxBytes: 10_000 })).rejects.toThrow(/yes printed more than 10000 bytes/);
  });
  it('says when a program is missing', async () => {
    await expect(exec('no-such-program-here', [])).rejects.toThrow(/no-such-program-here could not be started/);
  });
});
