import type { RunContext } from './context.ts';

/** Reads files of one side of a change. The workspace's Tree satisfies it; gates depend on this shape only. */
export interface FileTree {
  readonly name: string;
  readonly commit: string | undefined;
  list(prefix?: string): Promise<readonly string[]>;
  read(path: string): Promise<Buffer | undefined>;
  readMany(paths: readonly string[]): Promise<ReadonlyMap<string, Buffer>>;
  /** Size and SHA-256 (hex) of a file of any size, read as a stream; undefined when it is absent. */
  digest?(path: string): Promise<{ readonly bytes: number; readonly sha256: string } | undefined>;
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
  readonly head: FileTree;
  /** Paths (relative to the root) that differ between base and head; undefined without a base. */
  readonly changed: readonly string[] | undefined;
  /** Finds a pinned program; ExternalError when it is missing. */
  tool(name: string): Promise<Tool>;
}
