import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseYaml } from '../../src/config/document.ts';
import { lintPolicy } from '../../src/policy/operations.ts';
import { loadPolicySource } from '../../src/rego/source.ts';
import { ROOT } from '../support/cli.ts';
import { memoryTree, shown, testBench } from './support.ts';

const bench = await testBench();
const FOLDER = join(ROOT, 'examples/fleet/policies/routing');
const DOMAIN = join(ROOT, 'examples/fleet/policies/domain.yaml');
const SHIPPED: { readonly [path: string]: string } = Object.fromEntries(
  readdirSync(FOLDER)
    .filter((name) => name === 'data.json' || (name.endsWith('.rego') && !name.endsWith('_test.rego')))
    .map((name) => [name, readFileSync(join(FOLDER, name), 'utf8')]),
);

/** Every module changed in the same way; the data stays. */
function each(change: (text: string, name: string) => string): typeof SHIPPED {
  return Object.fromEntries(
    Object.entries(SHIPPED).map(([name, text]) => [name, name.endsWith('.rego') ? change(text, name) : text]),
  );
}
/** Behind the package line: where imports go. */
const afterPackage = (text: string, more: string): string => text.replace(/^package .*$/m, (line) => `${line}\n\n${more}`);

describe('clean variants of the shipped routing policy have no finding', () => {
  test.each<[string, typeof SHIPPED]>([
    ['as it is', SHIPPED],
    ['import rego.v1', each((text) => (text.includes('import rego.v1') ? text : afterPackage(text, 'import rego.v1')))],
    ['comments everywhere', each((text) => text.replaceAll(/^(\t+\S.*)$/gm, '$1 # why'))],
    ['blank lines', each((text) => text.replaceAll(/^$/gm, '\n'))],
    ['spaces for tabs', each((text) => text.replaceAll('\t', '    '))],
    [
      'modules in another order',
      Object.fromEntries(
        Object.entries(SHIPPED).map(([name, text]) => [
          name === 'data.json' ? name : `z/${[...name].reverse().join('')}.rego`,
          text,
        ]),
      ),
    ],
    [
      'one folder deeper',
      Object.fromEntries(Object.entries(SHIPPED).map(([name, text]) => [name === 'data.json' ? name : `a/b/${name}`, text])),
    ],
    ['with a rule behind another entry rule', { ...SHIPPED, 'extra.rego': 'package routing\n\nextra_entry := decision\n' }],
    [
      'a set through a comprehension',
      {
        ...SHIPPED,
        'extra.rego': 'package routing\n\nextra_entry := object.union(decision, {"keys": {key | some key, _ in decision}})\n',
      },
    ],
    [
      'an else chain',
      {
        ...SHIPPED,
        'extra.rego':
          'package routing\n\nextra_entry := object.union(decision, {"word": word})\n\nword := "yes" if decision.allow\n\nelse := "no"\n',
      },
    ],
    [
      'exclusive bodies',
      {
        ...SHIPPED,
        'extra.rego':
          'package routing\n\nextra_entry := object.union(decision, {"word": word})\n\nword := "yes" if decision.allow\n\nword := "no" if not decision.allow\n',
      },
    ],
    [
      'a function',
      {
        ...SHIPPED,
        'extra.rego':
          'package routing\n\nextra_entry := object.union(decision, {"word": word(decision.allow)})\n\nword(true) := "yes"\n\nword(false) := "no"\n',
      },
    ],
    [
      'a partial rule',
      {
        ...SHIPPED,
        'extra.rego':
          'package routing\n\nextra_entry contains decision\n\nextra_entry contains "refused" if not decision.allow\n',
      },
    ],
  ])('%s', async (_name, files) => {
    const entrypoint = 'extra.rego' in files ? 'routing/extra_entry' : 'routing/decision';
    const document = parseYaml(readFileSync(DOMAIN, 'utf8'), 'domain.yaml');
    const gate = await lintPolicy(
      bench,
      await loadPolicySource(memoryTree(files), { roots: [''] }),
      [entrypoint],
      document,
      20_000,
    );
    expect(shown(gate.findings)).toEqual([]);
  });
});
