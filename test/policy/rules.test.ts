import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { RULES } from '../../src/policy/rules.ts';
import { ROOT } from '../support/cli.ts';

const HEADINGS = ['Summary', 'Why it matters', 'Example', 'How to fix', 'Configuration'];

test.each(RULES.map((rule) => rule.id))('%s has a page with every heading', (id) => {
  const page = join(ROOT, 'docs/rules', `${id}.md`);
  expect(existsSync(page)).toBe(true);
  const lines = readFileSync(page, 'utf8').split('\n');
  expect(lines[0]).toBe(`# ${id}`);
  expect(lines.filter((line) => line.startsWith('## ')).map((line) => line.slice(3))).toEqual(HEADINGS);
});

test('every policy page belongs to a rule', () => {
  const ids: readonly string[] = RULES.map((rule) => rule.id);
  const pages = readdirSync(join(ROOT, 'docs/rules')).filter((name) => name.startsWith('policy-') && name.endsWith('.md'));
  expect(pages.map((name) => name.slice(0, -3)).filter((id) => !ids.includes(id))).toEqual([]);
});
