import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { RULES as CATALOG } from '../../src/catalog/rules.ts';
import { RULES as DRIFT } from '../../src/drift/rules.ts';
import { ROOT } from '../support/cli.ts';

// That every rule has a page, and a page its headings, is asked of all gates in test/docs.
it.each([...DRIFT, ...CATALOG].map((rule) => [rule.id, rule.summary]))('the page of %s says what the rule says', (id, summary) =>
  expect(readFileSync(join(ROOT, 'docs/rules', `${id}.md`), 'utf8')).toContain(`## Summary\n\n${summary}\n`),
);
