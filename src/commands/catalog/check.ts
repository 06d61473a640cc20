import { resolve } from 'node:path';
import { CONFIG_FILE, loadConfig } from '../../config/load.ts';
import { ConfigurationError } from '../../core/errors.ts';
import type { GateContext } from '../../core/gate-context.ts';
import { buildReport, type Report } from '../../core/report.ts';
import { folderTree } from '../../workspace/tree.ts';
import type { CommandSpec, Invocation } from '../framework.ts';
import { provenanceOf, toolBox } from '../provenance.ts';

export const checkCommand: CommandSpec = {
  name: 'check',
  summary: 'check model metadata: complete, true to the files, and fitting where it is deployed',
  positionals: 'DIR',
  minPositionals: 1,
  maxPositionals: 1,
  details: `DIR is a GitOps repository with a mixgate.yaml (its catalogue and the deployments of its clusters are judged), or a folder of
model metadata files, with a pools.yaml if there is one. Nothing is compared with an earlier state; \`mixgate check\` does that.`,
  examples: [
    { command: 'mixgate catalog check .', does: 'the catalogue and every deployment of this repository' },
    { command: 'mixgate catalog check catalog/', does: 'only the metadata files' },
  ],
  run: async (invocation) => ({ report: await runCatalogCheck(invocation) }),
};

async function runCatalogCheck(invocation: Invocation): Promise<Report> {
  const [dir] = invocation.positionals as [string];
  const tree = folderTree(resolve(invocation.dir, dir), dir);
  if ((await tree.list()).length === 0)
    throw new ConfigurationError({
      message: `${dir} is not a folder with files.`,
      expected: 'a GitOps repository, or a folder of model metadata',
    });
  const tools = toolBox(invocation);
  const context: GateContext = {
    now: invocation.now,
    progress: invocation.progress,
    signal: invocation.signal,
    seed: invocation.seed,
    base: undefined,
    head: tree,
    changed: undefined,
    tool: tools.tool,
  };
  const { runCatalogGate, catalogSectionOf } = await import('../../catalog/gate.ts');
  const configured = (await tree.read(CONFIG_FILE)) === undefined ? undefined : (await loadConfig(tree)).config;
  if (configured !== undefined && configured.catalog === undefined)
    throw new ConfigurationError({
      message: 'mixgate.yaml has no `catalog` section.',
      location: { file: CONFIG_FILE },
      fix: 'add one that names the model files, or point at the folder of model files itself.',
    });
  const result = await runCatalogGate(
    context,
    configured?.catalog ?? (await catalogSectionOf(tree)),
    configured ?? { version: 1 },
  );
  return buildReport([result], provenanceOf(invocation, { tools: tools.versions() }));
}
