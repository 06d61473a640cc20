import { realpath, stat } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { type Config, loadConfig, type Section } from '../../config/load.ts';
import { ConfigurationError } from '../../core/errors.ts';
import type { Location } from '../../core/finding.ts';
import type { GateResult } from '../../core/gate.ts';
import type { GateContext } from '../../core/gate-context.ts';
import { openGit } from '../../workspace/git.ts';
import { commitTree, folderTree, subtree, type Tree } from '../../workspace/tree.ts';
import type { Invocation, OptionSpec } from '../framework.ts';
import type { ToolBox } from '../provenance.ts';

export const REGISTRY: OptionSpec = {
  type: 'string',
  value: 'DIR',
  description: 'registry folder inside each side (default: from mixgate.yaml, else the folder itself)',
};

/** The context of the gate on two sides, one of which may be missing. */
export function gateContext(invocation: Invocation, tools: ToolBox, base: Tree | undefined, head: Tree): GateContext {
  const { seed, now, progress, signal } = invocation;
  return { seed, now, progress, signal, base, head, changed: undefined, tool: tools.tool };
}

/** The telemetry section of a side's mixgate.yaml; without one, the whole folder is one registry of ours. */
export async function sectionOf(tree: Tree, invocation: Invocation): Promise<{ section: Section<'telemetry'>; config: Config }> {
  const path = invocation.options.string('registry');
  if (path !== undefined) return { section: { registries: [{ path, owned: true }] }, config: { version: 1 } };
  if ((await tree.read(invocation.config)) !== undefined) {
    const { config } = await loadConfig(tree, invocation.config);
    if (config.telemetry === undefined)
      throw new ConfigurationError({
        message: `${invocation.config} has no telemetry section.`,
        fix: 'add one, or name a registry folder.',
      });
    return { section: config.telemetry, config };
  }
  return { section: { registries: [{ path: '', owned: true }] }, config: { version: 1 } };
}

export async function isFolder(invocation: Invocation, name: string): Promise<boolean> {
  return (await stat(resolve(invocation.dir, name)).catch(() => undefined))?.isDirectory() === true;
}

export async function openFolder(invocation: Invocation, name: string): Promise<Tree> {
  if (!(await isFolder(invocation, name)))
    throw new ConfigurationError({
      message:
        (await stat(resolve(invocation.dir, name)).catch(() => undefined)) === undefined
          ? `the folder ${JSON.stringify(name)} does not exist.`
          : `${JSON.stringify(name)} is a file, not a folder.`,
      fix: 'name a repository or a registry folder.',
    });
  return folderTree(resolve(invocation.dir, name), name);
}

export async function openRefs(invocation: Invocation, base: string, head: string): Promise<[Tree, Tree]> {
  const git = await openGit(invocation.dir);
  const prefix = relative(await realpath(git.root), await realpath(invocation.dir)).replaceAll('\\', '/');
  return [subtree(await commitTree(git, base, prefix), prefix), subtree(await commitTree(git, head, prefix), prefix)];
}

/** How files of a folder on the command line are named: from where mixgate runs, absolute when they lie outside. */
export function prefixOf(invocation: Invocation, folder: string): string {
  const full = resolve(invocation.dir, folder);
  const path = relative(invocation.dir, full).replaceAll('\\', '/');
  return path === '..' || path.startsWith('../') ? full : path;
}

/** Findings name files inside the folder that was judged; people and SARIF readers open them from where mixgate runs. */
export function placed(gate: GateResult, base: string, head: string): GateResult {
  const place = <T extends Location>(location: T, prefix: string): T =>
    prefix === '' ? location : { ...location, file: location.file === '' ? prefix : `${prefix}/${location.file}` };
  return {
    ...gate,
    findings: gate.findings.map((finding) => {
      const inBase = (finding.evidence as { side?: unknown } | undefined)?.side === 'base';
      return {
        ...finding,
        ...(finding.location === undefined ? {} : { location: place(finding.location, inBase ? base : head) }),
        ...(finding.related === undefined ? {} : { related: finding.related.map((location) => place(location, head)) }),
      };
    }),
  };
}
