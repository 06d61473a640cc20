/**
 * Writes docs/configuration.md from the schemas of the documents that users write, so that the page can't disagree with
 * what is checked. `--check` compares instead of writing.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationPage, type SchemaNode } from './lib/configuration-page.ts';

const root = join(import.meta.dirname, '..');
const target = join(root, 'docs/configuration.md');

const page = configurationPage((name) => {
  const text = readFileSync(join(root, 'schemas', `${name}.schema.json`), 'utf8');
  return JSON.parse(text) as SchemaNode;
});

if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== page) {
    console.error('docs/configuration.md is not current: run `node scripts/docs.ts` and commit the result.');
    process.exitCode = 1;
  }
} else {
  writeFileSync(target, page);
}
