import { type Config, loadConfig } from '../config/load.ts';
import { isMixgateError } from '../core/errors.ts';
import type { GateContext } from '../core/gate-context.ts';
import { type Git, openGit } from '../workspace/git.ts';
import { folderTree, type Tree } from '../workspace/tree.ts';
import type { Invocation } from './framework.ts';
import { toolBox } from './provenance.ts';
import { seedFromCommit } from './seed.ts';

/** What a command that judges the working tree (not a change) works on. */
export interface Workspace {
  readonly config: Config;
  readonly tree: Tree;
  readonly git: Git | undefined;
  /** HEAD, when the tracked files are as it has them. */
  readonly commit: string | undefined;
  readonly context: GateContext;
  /** Versions of the tools that were used so far. */
  toolVersions(): { readonly [name: string]: string };
}

export interface OpenOptions {
  /** false: go on with an empty configuration where there is none. Default true. */
  readonly configRequired?: boolean;
  /** false: go on outside a Git repository. Default true. */
  readonly gitRequired?: boolean;
}

/** Opens the folder a command was started in: configuration, files as they are on disk, tools, seed. */
export async function openWorkspace(invocation: Invocation, options: OpenOptions = {}): Promise<Workspace> {
  const tree = folderTree(invocation.dir);
  const git = await openGit(invocation.dir).catch((error: unknown) => {
    if (options.gitRequired === false && isMixgateError(error)) return undefined;
    throw error;
  });
  const commit = await git?.cleanHead();
  const hasConfig = (await tree.read(invocation.config)) !== undefined;
  const config: Config =
    hasConfig || options.configRequired !== false ? (await loadConfig(tree, invocation.config)).config : { version: 1 };
  const tools = toolBox(invocation);
  const context: GateContext = {
    seed: invocation.options.number('seed') ?? seedFromCommit(commit),
    now: invocation.now,
    progress: invocation.progress,
    signal: invocation.signal,
    base: undefined,
    head: tree,
    changed: undefined,
    tool: tools.tool,
  };
  return { config, tree, git, commit, context, toolVersions: tools.versions };
}
