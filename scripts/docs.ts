/**
 * Writes the pages that are made from what the code checks by, so that they can't disagree with it: docs/configuration.md from
 * the schemas of the documents that users write, docs/instruments.md from the runtime's table. `--check` compares instead of writing.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { INSTRUMENTS, type Instrument } from '../reference-runtime/src/telemetry/instruments.ts';
import { configurationPage, type SchemaNode } from './lib/configuration-page.ts';
import { instrumentsPage } from './lib/instruments-page.ts';

const root = join(import.meta.dirname, '..');
const pages: { readonly [path: string]: string } = {
  'docs/configuration.md': configurationPage((name) => {
    const text = readFileSync(join(root, 'schemas', `${name}.schema.json`), 'utf8');
    return JSON.parse(text) as SchemaNode;
  }),
  'docs/instruments.md': instrumentsPage(Object.values<Instrument>(INSTRUMENTS)),
};

for (const [path, page] of Object.entries(pages)) {
  const target = join(root, path);
  if (!process.argv.includes('--check')) {
    writeFileSync(target, page);
  } else if (!existsSync(target) || readFileSync(target, 'utf8') !== page) {
    console.error(`${path} is not current: run \`node scripts/docs.ts\` and commit the result.`);
    process.exitCode = 1;
  }
}
