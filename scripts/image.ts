/**
 * Builds the images of the reference runtime with whatever is here, and tries one as the Deployment runs it.
 *   node scripts/image.ts build cpu|cuda [--tag T] [--engine docker|podman|buildah] [-- FLAGS]
 *   node scripts/image.ts smoke [--tag T] [--engine docker|podman] [-- FLAGS]
 * What follows `--` goes to the engine's `build` or `run` as it is: a volume with an npm configuration, a network, limits.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { smoke } from './lib/image-smoke.ts';

const ROOT = join(import.meta.dirname, '..');
const KINDS = ['cpu', 'cuda'];
/** In order of preference. Buildah builds and does not run. */
const ENGINES = ['docker', 'podman', 'buildah'];
const USAGE = `node scripts/image.ts: images of the reference runtime

Usage:
  node scripts/image.ts build cpu|cuda [--tag T] [--engine docker|podman|buildah] [-- FLAGS]
  node scripts/image.ts smoke [--tag T] [--engine docker|podman] [-- FLAGS]

build makes mixgate-runtime:VERSION-KIND. smoke runs the CPU image as the Deployment of overlays/cpu would: its user, no capabilities, a
read-only root, its memory limit and its volumes only; then asks the probes, streams a completion with a token, reads the decision log,
looks for files outside the volumes, and ends the container while a request runs.

What follows -- goes to the engine as it is.

Examples:
  node scripts/image.ts build cpu
  node scripts/image.ts build cpu --engine buildah -- --volume "$HOME/.npmrc:/usr/local/etc/npmrc:ro"
  node scripts/image.ts smoke --engine podman
`;

class Usage extends Error {}

/** The wanted engine, or the first that is here and answers. */
function engineOf(wanted: string | undefined, known: readonly string[]): string {
  if (wanted !== undefined && !known.includes(wanted)) throw new Usage(`--engine ${wanted}: one of ${known.join(', ')}`);
  const tried = wanted === undefined ? known : [wanted];
  // A client without its server answers --version, but not this.
  const found = tried.find((name) => spawnSync(name, ['info'], { stdio: 'ignore', timeout: 60_000 }).status === 0);
  if (found === undefined) throw new Usage(`none of ${tried.join(', ')} works here: \`${tried[0]} info\` says why`);
  return found;
}

function git(...args: string[]): string {
  const out = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
  return out.status === 0 ? out.stdout.trim() : '';
}

/** The command line that builds one image. */
export function buildCommand(engine: string, kind: string, tag: string, more: readonly string[]): readonly string[] {
  const revision = git('rev-parse', 'HEAD');
  return [
    'build',
    // Buildah and Podman keep no HEALTHCHECK in OCI's format, and Buildah makes one layer of a stage unless told.
    ...(engine === 'docker' ? [] : ['--format', 'docker', '--layers']),
    ...['--file', join(ROOT, `reference-runtime/deploy/docker/Dockerfile.${kind}`)],
    ...(engine === 'docker'
      ? []
      : ['--ignorefile', join(ROOT, `reference-runtime/deploy/docker/Dockerfile.${kind}.dockerignore`)]),
    ...['--build-arg', `VERSION=${version()}`, '--build-arg', `REVISION=${revision}`],
    ...['--tag', tag, ...more, ROOT],
  ];
}

function version(): string {
  return (JSON.parse(readFileSync(join(ROOT, 'reference-runtime/package.json'), 'utf8')) as { version: string }).version;
}

async function main(argv: readonly string[]): Promise<number> {
  const end = argv.indexOf('--');
  const [own, more] = end < 0 ? [argv, []] : [argv.slice(0, end), argv.slice(end + 1)];
  const { values, positionals } = parseArgs({
    args: [...own],
    options: { tag: { type: 'string' }, engine: { type: 'string' }, help: { type: 'boolean' } },
    allowPositionals: true,
  });
  const [task, kind] = positionals;
  if (values.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (task === 'build' && kind !== undefined && KINDS.includes(kind)) {
    const engine = engineOf(values.engine, ENGINES);
    const tag = values.tag ?? `mixgate-runtime:${version()}-${kind}`;
    process.stderr.write(`building ${tag} with ${engine}\n`);
    return spawnSync(engine, buildCommand(engine, kind, tag, more), { stdio: 'inherit' }).status ?? 1;
  }
  if (task === 'smoke') {
    const engine = engineOf(values.engine, ENGINES.slice(0, 2));
    return (await smoke({ engine, tag: values.tag ?? `mixgate-runtime:${version()}-cpu`, flags: more })) ? 0 : 1;
  }
  throw new Usage(`expected \`build\` with one of ${KINDS.join(', ')}, or \`smoke\``);
}

if (import.meta.main) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    const forUser = error instanceof Usage || (error instanceof Error && 'code' in error);
    process.stderr.write(forUser ? `${(error as Error).message}\n\n${USAGE}` : `${(error as Error).stack}\n`);
    process.exitCode = 2;
  }
}
