import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nearest } from '../config/suggest.ts';
import { ConfigurationError } from '../core/errors.ts';
import { packageRoot } from '../tools/package-root.ts';
import type { CommandSpec } from './framework.ts';
import { summaryOf } from './report-sources.ts';

export const command: CommandSpec = {
  name: 'explain',
  summary: 'explain a rule: what it means, why it matters, how to fix it',
  positionals: '[RULE-ID]',
  maxPositionals: 1,
  examples: [
    { command: 'mixgate explain policy-invariant-violated', does: 'the page of one rule' },
    { command: 'mixgate explain', does: 'list every rule' },
  ],
  async run({ positionals }) {
    const folder = join(packageRoot(), 'docs/rules');
    const rules = (await readdir(folder))
      .filter((name) => name.endsWith('.md') && name !== 'README.md')
      .map((name) => name.slice(0, -3))
      .sort();
    const [rule] = positionals;
    if (rule === undefined) {
      const lines = await Promise.all(
        rules.map(async (id) => `${id.padEnd(44)} ${summaryOf(await readFile(join(folder, `${id}.md`), 'utf8'))}`),
      );
      return { text: `${lines.join('\n')}\n` };
    }
    const id = rule.split('#')[0]!;
    if (!rules.includes(id)) {
      const guess = nearest(id, rules);
      throw new ConfigurationError({
        message: `there is no rule \`${id.slice(0, 80)}\`.`,
        fix: guess === undefined ? 'run `mixgate explain` for the list.' : `did you mean \`${guess}\`?`,
      });
    }
    return { text: await readFile(join(folder, `${id}.md`), 'utf8') };
  },
};
