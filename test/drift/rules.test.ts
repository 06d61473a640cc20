import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RULES as CATALOG } from '../../src/catalog/rules.ts';
import { RULES as DRIFT } from '../../src/drift/rules.ts';
import { ROOT } from '../support/cli.ts';

const PAGES = join(ROOT, 'docs/rules');
const rules = [...DRIFT, ...CATALOG];

describe('every rule of the drift and catalog gates has its page', () => {
  it.each(rules.map((rule) => [rule.id, rule.summary]))('%s', (id, summary) => {
    const page = readFileSync(join(PAGES, `${id}.md`), 'utf8');
    expect(page.match(/^#+ .*$/gm)).toEqual([
      `# ${id}`,
      '## Summary',
      '## Why it matters',
      '## Example',
      '## How to fix',
      '## Configuration',
    ]);
    expect(page).toContain(`## Summary\n\n${summary}\n`);
  });

  it('and no page has no rule', () => {
    const pages = readdirSync(PAGES).filter((name) => /^(drift|catalog)-/.test(name));
    expect(pages.sort()).toEqual(rules.map((rule) => `${rule.id}.md`).sort());
  });
});
