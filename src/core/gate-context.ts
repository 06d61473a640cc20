import type { RunContext } from './context.ts';

/**
 * A read-only tree of files, one side of a change: a commit, or a folder on disk. Paths are relative, with forward slashes.
 * Symbolic links are not followed: they count as absent (a pull request could point one at a file outside the repository).
 */
export interface FileTree {
  /** What the user calls it: a ref, or `.`. */
  readonly name: string;
  /** Full commit id; undefined for a folder. */
  readonly commit: string | undefined;
  /** Every file at or below `prefix`, sorted. */
  list(prefix?: string): Promise<readonly string[]>;
  read(path: string): Promise<Buffer | undefined>;
  readMany(paths: readonly string[]): Promise<ReadonlyMap<string, Buffer>>;
  /** Size and SHA-256 (hex) of a file of any size, read as a stream; undefined when it is absent. Folders on disk have it. */
  digest?(path: string): Promise<{ readonly bytes: number; readonly sha256: string } | undefined>;
  /** What is there and is given to nobody: whatever a cluster or OPA would read through it is not judged. Sorted. */
  links?(): Promise<readonly LinkEntry[]>;
  /** Told by `glob` which paths it looks for among all of them. */
  lookedFor?(matches: (path: string) => boolean): void;
}

export interface LinkEntry {
  readonly path: string;
  readonly kind: 'symbolic link' | 'submodule';
  /** Differs where the entry does: object id, or the target of a link. */
  readonly target: string;
}

/** An external program, found and verified. */
export interface Tool {
  readonly name: string;
  readonly path: string;
  readonly version: string;
  readonly source: 'flag' | 'path' | 'cache' | 'download' | 'build';
}

/** What a pull-request gate gets. `base` is absent when there is nothing to compare with. */
export interface GateContext extends RunContext {
  readonly base: FileTree | undefined;
  /**
   * The tip of the branch that the change goes to, newer than `base` where that branch got commits since: what judges the
   * change (tests, invariants, domain, corpus) comes from here, so that nobody picks an old gate by branching off early.
   * Absent: `base`.
   */
  readonly guards?: FileTree | undefined;
  readonly head: FileTree;
  /** Paths (relative to the root) that differ between base and head; undefined without a base. */
  readonly changed: readonly string[] | undefined;
  /** Finds a pinned program; ExternalError when it is missing. */
  tool(name: string): Promise<Tool>;
}
