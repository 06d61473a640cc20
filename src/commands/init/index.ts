import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { ConfigurationError } from '../../core/errors.ts';
import { folderTree } from '../../workspace/tree.ts';
import { writeWhole } from '../../workspace/write-whole.ts';
import type { CommandSpec } from '../framework.ts';
import { detect, type Found } from './detect.ts';
import { configTemplate } from './template.ts';
import { WORKFLOW_FILE, workflowFile, workflowTemplate } from './workflow.ts';

export const command: CommandSpec = {
  name: 'init',
  summary: 'write a mixgate.yaml for what is in this repository',
  details: `Looks for Rego policies, semantic-convention registries, model metadata, OpenSLO files and cluster overlays. What is found becomes
a section in force, the rest stays as comments. With --workflow the GitHub workflow is written too. Files that exist are kept.`,
  options: {
    workflow: {
      type: 'string',
      value: 'ACTION',
      description: `also write ${WORKFLOW_FILE} with this Action: OWNER/REPOSITORY@COMMIT, the full SHA`,
    },
    stdout: { type: 'boolean', description: 'print mixgate.yaml instead of writing files' },
  },
  examples: [
    { command: 'mixgate init', does: 'write mixgate.yaml here' },
    { command: 'mixgate init --stdout', does: 'look at it first' },
    {
      command: 'mixgate init --workflow your-org/mixgate@0123456789abcdef0123456789abcdef01234567',
      does: 'with the workflow that runs it on pull requests',
    },
  ],
  async run({ dir, config, options }) {
    const action = options.string('workflow');
    if (action !== undefined && !/^[\w.-]+\/[\w.-]+(?:\/[\w./-]+)?@[0-9a-f]{40}$/.test(action))
      throw new ConfigurationError({
        message: `--workflow is ${JSON.stringify(action)}.`,
        expected: 'OWNER/REPOSITORY@COMMIT with the full SHA of a commit: a tag can be moved',
      });
    const found = await detect(folderTree(dir));
    if (options.boolean('stdout')) return { text: configTemplate(found) };
    const { up, folder } = placeInRepository(dir);
    const files = [
      { file: config, text: configTemplate(found) },
      // GitHub reads workflows at the root of the repository and nowhere else.
      ...(action === undefined ? [] : [{ file: `${up}${workflowFile(folder)}`, text: workflowTemplate(action, config, folder) }]),
    ];
    const taken = files.filter(({ file }) => existsSync(join(dir, file)));
    if (taken.length > 0)
      throw new ConfigurationError(
        taken.map(({ file }) => ({
          message: `${file} exists already; nothing was changed.`,
          fix: 'edit it, or look at a fresh mixgate.yaml with `mixgate init --stdout`.',
        })),
      );
    for (const { file, text } of files) await writeWhole(join(dir, file), text);
    return { text: `Wrote ${files.map(({ file }) => file).join(' and ')}.\n${next(found)}` };
  },
};

/** What the user does now. */
function next(found: Found): string {
  const sections = (['telemetry', 'policy', 'catalog'] as const).filter((name) => found[name] !== undefined).map(String);
  if (found.slo.length > 0) sections.push('slo');
  const todo = found.clusters.length > 0 ? `Fill in where the ${found.clusters.length} clusters are to find drift.\n` : '';
  if (sections.length === 0)
    return `${todo}Nothing else that a gate reads was found. Uncomment the sections you need, then run \`mixgate check\`.\n`;
  return `Sections in force: ${sections.join(', ')}. ${todo}Look at the paths, then run \`mixgate check\`.\n`;
}

/** Where a folder is in its repository: the way up to the root, and the way down from it; both '' at the root or outside of one. */
function placeInRepository(dir: string): { readonly up: string; readonly folder: string } {
  const names: string[] = [];
  for (let at = resolve(dir); ; at = dirname(at)) {
    // A file in a worktree, a folder in a clone.
    if (existsSync(join(at, '.git'))) return { up: '../'.repeat(names.length), folder: names.join('/') };
    if (at === dirname(at)) return { up: '', folder: '' };
    names.unshift(basename(at));
  }
}
