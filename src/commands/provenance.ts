import type { RunContext } from '../core/context.ts';
import type { Tool } from '../core/gate-context.ts';
import type { Provenance } from '../core/report.ts';
import { compareText } from '../core/text.ts';
import { packageVersion } from '../tools/package-root.ts';
import { resolveTool } from '../tools/resolve.ts';

/** Where a report comes from. `more` adds the sides of the change, the seed and the tools that were used. */
export function provenanceOf(
  run: { readonly command: string; readonly seed: number },
  more: Partial<Omit<Provenance, 'tool' | 'command'>> = {},
): Provenance {
  const { base, head, configFrom, seed = run.seed, tools = {} } = more;
  return {
    tool: { name: 'mixgate', version: packageVersion() },
    command: run.command,
    ...(base === undefined ? {} : { base }),
    ...(head === undefined ? {} : { head }),
    ...(configFrom === undefined ? {} : { configFrom }),
    seed,
    tools,
  };
}

/** Finds tools for gates, and keeps the versions for the provenance. */
export interface ToolBox {
  tool(name: string): Promise<Tool>;
  /** What was used so far, by name. */
  versions(): { readonly [name: string]: string };
}

export function toolBox(run: Pick<RunContext, 'progress' | 'signal'> & { readonly env?: NodeJS.ProcessEnv }): ToolBox {
  const used = new Map<string, string>();
  return {
    async tool(name) {
      const { progress, signal, env } = run;
      const tool = await resolveTool(name, { progress, signal, ...(env === undefined ? {} : { env }) });
      used.set(name, tool.version);
      return tool;
    },
    versions: () => Object.fromEntries([...used].sort(([a], [b]) => compareText(a, b))),
  };
}
