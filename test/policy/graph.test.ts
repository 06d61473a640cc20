import { describe, expect, test } from 'vitest';
import { policy, side, testBench } from './support.ts';

const bench = await testBench();

/** `rule depth` of what the entrypoint reaches; the rules are `spare` and those the source names. */
async function reached(rego: string, helper = ''): Promise<string[]> {
  const source = await policy({
    'p.rego': `package p\n\n${rego}\n\nspare := 1\n`,
    'lib.rego': `package lib.a\n\n${helper}\n\none := 1\n\nspare := 2\n`,
  });
  const { depth } = (await side(bench, source)).graph;
  return [...depth].map(([rule, distance]) => `${rule} ${distance}`).sort();
}

describe('which rules an entrypoint reaches, and how far they are', () => {
  test.each<[string, string, string[]]>([
    ['a document of data', 'decision := data.limits.x', ['p.decision 0']],
    ['a document of data, by a variable', 'decision := data.limits[input.x]', ['p.decision 0']],
    ['a rule by its full path', 'decision := data.lib.a.one', ['lib.a.one 1', 'p.decision 0']],
    ['a rule of an imported package', 'import data.lib.a\n\ndecision := a.one', ['lib.a.one 1', 'p.decision 0']],
    ['a rule beside it', 'decision := near[input.x]\n\nnear := {"x": 1}', ['p.decision 0', 'p.near 1']],
    ['any rule of a package', 'decision := data.lib.a[input.x]', ['lib.a.one 1', 'lib.a.spare 1', 'p.decision 0']],
    [
      'a whole imported package',
      'import data.lib.a\n\ndecision := object.get(a, "x", 1)',
      ['lib.a.one 1', 'lib.a.spare 1', 'p.decision 0'],
    ],
    ['by way of another', 'decision := near\n\nnear := data.lib.a.one', ['lib.a.one 2', 'p.decision 0', 'p.near 1']],
  ])('%s', async (_name, rego, rules) => {
    expect(await reached(rego)).toEqual(rules);
  });
});
