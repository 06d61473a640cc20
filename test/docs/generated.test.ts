import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { configurationPage, type SchemaNode } from '../../scripts/lib/configuration-page.ts';
import { bundledPackages, licenceNotices } from '../../scripts/lib/licenses.ts';
import { ROOT } from '../support/cli.ts';
import { temporaryFolder } from '../support/folder.ts';

describe('docs/configuration.md and docs/instruments.md', () => {
  test('are current', () => {
    expect(() => execFileSync(process.execPath, ['scripts/docs.ts', '--check'], { cwd: ROOT, stdio: 'pipe' })).not.toThrow();
  });

  test('says of every key what it is', () => {
    const page = readFileSync(join(ROOT, 'docs/configuration.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `(?<key>[^`]+)` \|.*\| (?<about>[^|]*) ?\|$/gm)];
    expect(rows.length).toBeGreaterThan(300);
    expect(rows.filter(({ groups }) => groups!['about']!.trim() === '').map(({ groups }) => groups!['key'])).toEqual([]);
  });

  test('changes with a schema: a new key, its type, range and whether it is required', () => {
    const load = (name: string): SchemaNode => {
      const schema = JSON.parse(readFileSync(join(ROOT, 'schemas', `${name}.schema.json`), 'utf8')) as SchemaNode;
      if (name !== 'mixgate-slo') return schema;
      const added = { type: 'integer', minimum: 3, description: 'a new | key' };
      return { ...schema, properties: { ...schema.properties, brandNew: added }, required: ['brandNew'] };
    };
    expect(configurationPage(load)).toContain('| `slo.brandNew` | integer >= 3 | yes | a new \\| key |');
  });
});

describe('dist/THIRD_PARTY_LICENSES.txt', () => {
  const root = temporaryFolder();

  function addPackage(folder: string, manifest: object, files: { readonly [name: string]: string } = {}): void {
    mkdirSync(join(root, folder, 'licenses'), { recursive: true });
    for (const [name, text] of Object.entries({ 'package.json': JSON.stringify(manifest), ...files }))
      writeFileSync(join(root, folder, name), text);
  }

  test('packages are those with bytes in an output: scoped, nested, and none that was shaken off', () => {
    const input = (bytesInOutput: number): { bytesInOutput: number } => ({ bytesInOutput });
    const inputs = {
      'src/cli.ts': input(10),
      'node_modules/yaml/dist/index.js': input(5),
      'node_modules/@scope/name/a.js': input(5),
      'node_modules/wasm/node_modules/yaml/b.js': input(5),
      'node_modules/unused/index.js': input(0),
    };
    const output = { bytes: 25, imports: [], exports: [], inputs };
    expect(bundledPackages({ outputs: { 'cli.js': output } })).toEqual([
      'node_modules/@scope/name',
      'node_modules/wasm/node_modules/yaml',
      'node_modules/yaml',
    ]);
  });

  test('licence and notice texts, also from a folder, in a stable order', () => {
    addPackage(
      'b',
      { name: 'b', version: '1.0.0', license: 'MIT' },
      { LICENSE: 'text of b\r\n', 'licenses/LICENSE-inner': 'inner' },
    );
    addPackage('a', { name: 'a', version: '2.0.0', license: 'Apache-2.0' }, { 'LICENSE.md': 'text of a', NOTICE: 'notice of a' });
    const text = licenceNotices(root, ['b', 'a']);
    expect(text).toBe(licenceNotices(root, ['a', 'b']));
    expect(text).toMatch(
      /a 2\.0\.0 \(Apache-2\.0\)\n\ntext of a\n\nnotice of a\n[\s\S]*b 1\.0\.0 \(MIT\)\n\ntext of b\n\ninner\n$/,
    );
  });

  test('a package without a licence is refused', () => {
    addPackage('c', { name: 'c', version: '1.0.0' });
    expect(() => licenceNotices(root, ['c'])).toThrow('c/package.json names no licence');
  });
});
