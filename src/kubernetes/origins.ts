import type { Path, SourceDocument } from '../config/document.ts';
import type { Location } from '../core/finding.ts';
import { isObject, type Json } from '../core/json.ts';
import { isList, parsePointer, textAt, valueAt, within } from './path.ts';

/**
 * Finds the line of a source file that gives a rendered field its value. Kustomize doesn't say where a field comes from, so
 * the sources are searched: patches and resources of the same kind and name, the one that writes the deepest part
 * of the path wins, and the overlay before its bases.
 */
export function originOf(
  object: { readonly kind: string; readonly name: string },
  sources: readonly SourceDocument[],
  fallback: Location,
): (path: Path) => Location {
  const candidates: Candidate[] = [];
  for (const source of sources) {
    candidates.push(...manifestCandidates(source, source.value, [], object));
    candidates.push(...operationCandidates(source, object));
  }
  return (path) => {
    let best: { depth: number; candidate: Candidate } | undefined;
    for (const candidate of candidates) {
      const depth = candidate.depth(path);
      if (depth !== undefined && depth > (best?.depth ?? -1)) best = { depth, candidate };
    }
    return best === undefined ? fallback : best.candidate.locate(path);
  };
}

interface Candidate {
  /** How many steps of the path this source writes; undefined when none. */
  depth(path: Path): number | undefined;
  locate(path: Path): Location;
}

function manifestCandidates(source: SourceDocument, value: Json, at: Path, object: { kind: string; name: string }): Candidate[] {
  if (isObject(value) && isList(value['items']))
    return value['items'].flatMap((item, index) => manifestCandidates(source, item, [...at, 'items', index], object));
  const name = textAt(value, ['metadata', 'name']);
  if (!isObject(value) || value['kind'] !== object.kind || name === undefined || !sameName(name, object.name)) return [];
  return [
    {
      depth(path) {
        let depth = 0;
        while (depth < path.length && valueAt(value, path.slice(0, depth + 1)) !== undefined) depth += 1;
        return depth;
      },
      locate: (path) => source.locate([...at, ...path]),
    },
  ];
}

/** namePrefix and nameSuffix lengthen a name. */
function sameName(written: string, rendered: string): boolean {
  return written === rendered || rendered.endsWith(`-${written}`) || rendered.startsWith(`${written}-`);
}

/** JSON 6902 operations in `patches[].patch` or in files; the target is in the kustomization. */
function operationCandidates(source: SourceDocument, object: { kind: string; name: string }): Candidate[] {
  const patches = valueAt(source.value, ['patches']);
  if (!isList(patches)) return [];
  return patches.flatMap((patch, index): Candidate[] => {
    const target = isObject(patch) ? patch['target'] : undefined;
    const text = textAt(patch, ['patch']);
    if (text === undefined) return [];
    const kind = textAt(target, ['kind']);
    const name = textAt(target, ['name']);
    if ((kind !== undefined && kind !== object.kind) || (name !== undefined && !sameName(name, object.name))) return [];
    const pointers = [...text.matchAll(/^[ \t-]*path:[ \t]*["']?(?<pointer>\/[^\s"']*)/gm)].map((match) =>
      parsePointer(match.groups!['pointer']!),
    );
    return [
      {
        depth(path) {
          const hits = pointers.filter((steps) => within(path, steps)).map((steps) => steps.length);
          return hits.length === 0 ? undefined : Math.max(...hits);
        },
        locate: () => source.locate(['patches', index]),
      },
    ];
  });
}
