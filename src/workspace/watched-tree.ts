import { type Finding, finding } from '../core/finding.ts';
import type { FileTree, LinkEntry } from '../core/gate-context.ts';
import { below, normalise } from './tree.ts';

export interface WatchedTree {
  readonly tree: FileTree;
  /** Links in what was asked of the tree so far. */
  links(): Promise<readonly LinkEntry[]>;
}

/** The tree, and which of its links lie where somebody looked: OPA, Flux or a shell would follow them, nobody here did. */
export function watched(tree: FileTree): WatchedTree {
  const asked: ((path: string) => boolean)[] = [];
  const seen = new Set<string>();
  const note = (path: string, matches: (path: string) => boolean): void => {
    if (seen.has(path)) return;
    seen.add(path);
    asked.push(matches);
  };
  const noteFile = (path: string): void => note(`file ${path}`, (link) => link === normalise(path) || leadsTo(link, path));
  return {
    tree: {
      ...tree,
      list: (prefix) => {
        // Without a folder somebody lists everything to choose from it, and says so by `lookedFor`.
        if (prefix !== undefined) {
          const inside = below(prefix);
          note(`folder ${prefix}`, (link) => inside(link) || leadsTo(link, prefix));
        }
        return tree.list(prefix);
      },
      read: (path) => {
        noteFile(path);
        return tree.read(path);
      },
      readMany: (paths) => {
        for (const path of paths) noteFile(path);
        return tree.readMany(paths);
      },
      lookedFor: (matches) => asked.push(matches),
    },
    links: async () =>
      ((await tree.links?.()) ?? []).filter((link) => link.path === '' || asked.some((matches) => matches(link.path))),
  };
}

/** Whether `path` lies behind the link. */
function leadsTo(link: string, path: string): boolean {
  return normalise(path).startsWith(`${link}/`);
}

/**
 * Links of head that a gate looked at: one that the change brings blocks, because what it stands for was judged by nobody; one
 * that base has as it is warns.
 */
export function linkFindings(links: readonly LinkEntry[], base: readonly LinkEntry[] | undefined): readonly Finding[] {
  return links.map((link) => {
    const before = base?.find((other) => other.path === link.path);
    const known = base === undefined || (before?.target === link.target && before.kind === link.kind);
    return finding({
      ruleId: 'input-invalid',
      level: known ? 'warning' : 'error',
      message: `The path ${link.path === '' ? '.' : link.path} is a ${link.kind}, which mixgate does not follow: what others read there was not judged.`,
      location: { file: link.path === '' ? '.' : link.path },
      subject: link.path,
      fix: 'Put the files themselves there.',
    });
  });
}
