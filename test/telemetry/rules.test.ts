import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RULES } from '../../src/telemetry/rules.ts';
import { ROOT } from '../support/cli.ts';

const folder = join(ROOT, 'docs/rules');

describe('rule pages', () => {
  test.each(RULES.map((rule) => rule.id))('%s has every heading', (id) => {
    const text = readFileSync(join(folder, `${id}.md`), 'utf8');
    expect(text.split('\n').filter((line) => line.startsWith('#'))).toEqual([
      `# ${id}`,
      '## Summary',
      '## Why it matters',
      '## Example',
      '## How to fix',
      '## Configuration',
    ]);
    expect(text.split('\n').length).toBeLessThanOrEqual(60);
  });
  test('no page is left of a rule that is gone', () => {
    const pages = readdirSync(folder)
      .filter((name) => name.startsWith('telemetry-'))
      .map((name) => name.replace('.md', ''));
    expect(pages).toEqual(RULES.map((rule) => rule.id).toSorted());
  });
});
