import { lstat } from 'node:fs/promises';
import { isAbsolute, relative, resolve } from 'node:path';
import { ConfigurationError } from '../../core/errors.ts';
import type { FileTree, Tool } from '../../core/gate-context.ts';
import type { KubeObject } from '../../kubernetes/object.ts';
import { folderTree } from '../../workspace/tree.ts';

export interface Place {
  readonly tree: FileTree;
  /** Path in the tree. */
  readonly path: string;
  /** What goes in front of the tree's paths to make them the user's. */
  readonly prefix: string;
  readonly shown: string;
}

/** A path that the user named on the command line; files outside the repository are fine, the user chose them. */
export async function onDisk(dir: string, path: string): Promise<Place> {
  const full = resolve(dir, path);
  const stat = await lstat(full).catch(() => undefined);
  if (stat === undefined)
    throw new ConfigurationError({ message: `${path} does not exist.`, expected: 'a YAML file or a folder of manifests' });
  if (!stat.isFile() && !stat.isDirectory())
    throw new ConfigurationError({
      message: `${path} is neither a file nor a folder.`,
      expected: 'a YAML file or a folder of manifests',
    });
  const inside = relative(dir, full);
  if (inside !== '' && !inside.startsWith('..') && !isAbsolute(inside))
    return { tree: folderTree(dir), path: inside.replaceAll('\\', '/'), prefix: '', shown: path };
  const parent = stat.isFile() ? resolve(full, '..') : full;
  return {
    tree: folderTree(parent, path),
    path: relative(parent, full),
    prefix: path.slice(0, path.length - relative(parent, full).length),
    shown: path,
  };
}

/** A location of the place as the user would write it. */
export function shown<T extends { readonly file: string }>(place: Place, location: T): T {
  if (place.prefix === '') return location;
  const slash = place.prefix.endsWith('/') || location.file === '' ? '' : '/';
  return { ...location, file: `${place.prefix}${slash}${location.file}` };
}

/** Every object at the place; a folder with a kustomization is rendered. */
export async function objectsAt(
  place: Place,
  context: { signal: AbortSignal; tool(name: string): Promise<Tool> },
): Promise<readonly KubeObject[]> {
  const { renderFolder } = await import('../../kubernetes/render.ts');
  const { readSnapshot } = await import('../../drift/snapshot.ts');
  const { kustomizationFile } = await import('../../kubernetes/kustomization.ts');
  if ((await place.tree.read(place.path)) === undefined && (await kustomizationFile(place.tree, place.path)) !== undefined)
    return renderFolder(place.tree, place.path, context);
  // A command that printed nothing is not a cluster without objects: that is a List without items.
  const single = await place.tree.read(place.path);
  if (single !== undefined && single.toString('utf8').trim() === '')
    throw new ConfigurationError({ message: `${place.shown} is empty.`, expected: 'a YAML file or a folder of manifests' });
  const snapshot = await readSnapshot(place.tree, place.path);
  if (snapshot === undefined)
    throw new ConfigurationError({
      message: `there are no manifests in ${place.shown}.`,
      expected: 'a YAML file or a folder of manifests',
    });
  return snapshot.objects;
}
