import { join } from 'node:path';
import { ConfigurationError } from '../core/errors.ts';
import type { FileTree, Tool } from '../core/gate-context.ts';
import { exec, OutputLimit } from '../tools/exec.ts';
import { materialize, normalise as normalisePath } from '../workspace/tree.ts';
import { checkSources, kustomizationFile, readKustomization } from './kustomization.ts';
import { readManifestFiles, readManifests } from './load.ts';
import type { KubeObject } from './object.ts';
import { originOf } from './origins.ts';

const RENDER_TIMEOUT_MS = 30_000;
const MAX_RENDERED_BYTES = 32 * 1024 * 1024;

export interface RenderContext {
  tool(name: string): Promise<Tool>;
  readonly signal: AbortSignal;
}

/**
 * The objects that a folder describes: rendered by kustomize when it has a kustomization, else its manifests as they
 * are. Rendering reads the tree only: no network, no plugins, no files outside.
 * @throws ConfigurationError when the folder is absent, broken, refused or over the limits; ExternalError when kustomize can't run
 */
export async function renderFolder(tree: FileTree, folder: string, context: RenderContext): Promise<readonly KubeObject[]> {
  const path = normalisePath(folder);
  if ((await kustomizationFile(tree, path)) === undefined) {
    const manifests = await readManifestFiles(tree, path);
    if (manifests === undefined) {
      throw new ConfigurationError({
        message: `there are no manifests in ${tree.name === '.' ? 'this folder' : tree.name}.`,
        location: { file: path },
        expected: 'a folder with a kustomization.yaml, or with YAML manifests',
      });
    }
    return manifests.objects;
  }
  const graph = await readKustomization(tree, path);
  const kustomizations = await Promise.all(graph.folders.map((each) => kustomizationFile(tree, each)));
  const own = graph.files.filter((file) => file.startsWith(path === '' ? '' : `${path}/`));
  const others = graph.files.filter((file) => !own.includes(file));
  const kustomizationFiles = kustomizations.filter((file) => file !== undefined);
  const sources = await checkSources(tree, [...own, kustomizationFiles[0]!, ...others, ...kustomizationFiles.slice(1)]);
  const rendered = await build(tree, path, [...kustomizationFiles, ...graph.files], context);
  return readManifests(rendered, kustomizationFiles[0]!).objects.map((object) => ({
    ...object,
    locate: originOf(object, sources, { file: kustomizationFiles[0]!, line: 1 }),
  }));
}

async function build(tree: FileTree, folder: string, files: readonly string[], context: RenderContext): Promise<string> {
  const kustomize = await context.tool('kustomize');
  await using root = await materialize(tree, files);
  // What it takes is up to the overlay: over the limits the change is at fault, not the machine.
  const tooMuch = (what: string): ConfigurationError =>
    new ConfigurationError({
      message: `kustomize ${what}.`,
      location: { file: folder },
      expected: `an overlay that renders in ${RENDER_TIMEOUT_MS / 1000} s to at most ${MAX_RENDERED_BYTES} bytes`,
    });
  const result = await exec(kustomize.path, ['build', '--load-restrictor', 'LoadRestrictionsRootOnly', join(root.dir, folder)], {
    cwd: root.dir,
    timeoutMs: RENDER_TIMEOUT_MS,
    maxBytes: MAX_RENDERED_BYTES,
    signal: context.signal,
    // No PATH, so no git to fetch with; no home, so no plugins; a proxy that isn't there, so no network.
    env: {
      PATH: '',
      HOME: root.dir,
      XDG_CONFIG_HOME: root.dir,
      HTTP_PROXY: 'http://127.0.0.1:9',
      HTTPS_PROXY: 'http://127.0.0.1:9',
      GOMAXPROCS: '2',
      GOMEMLIMIT: '1GiB',
    },
  }).catch((error: unknown) => {
    throw error instanceof OutputLimit ? tooMuch(`rendered more than ${MAX_RENDERED_BYTES} bytes`) : error;
  });
  if (result.timedOut) throw tooMuch(`did not render ${folder} in ${RENDER_TIMEOUT_MS / 1000} s`);
  if (result.code !== 0) {
    const said = result.stderr
      .replaceAll(`${root.dir}/`, '')
      .replaceAll(root.dir, '.')
      .replace(/^Error: /, '')
      .trim()
      .slice(0, 600);
    throw new ConfigurationError({
      message: `kustomize cannot render the overlay: ${said}`,
      location: { file: files[0]! },
      fix: `run \`kustomize build ${folder}\` to see the same.`,
    });
  }
  return result.stdout;
}
