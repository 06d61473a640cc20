import { describe, expect, it } from 'vitest';
import { decodeText, parseYaml, parseYamlStream } from '../../src/config/document.ts';
import { checked, problemsOf } from '../../src/config/schema.ts';
import { ConfigurationError } from '../../src/core/errors.ts';

function problems(action: () => unknown): string[] {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message.split('\n');
    throw error;
  }
  return [];
}

describe('parseYaml', () => {
  it('says file, line and column of a syntax error', () => {
    expect(problems(() => parseYaml('a: 1\nb: [1, 2\nc: 3\n', 'x.yaml'))[0]).toMatch(/^x\.yaml:[34]:\d+: not valid YAML/);
  });
  it('reports a key that is written twice', () => {
    expect(problems(() => parseYaml('a: 1\na: 2\n', 'x.yaml'))[0]).toMatch(
      /^x\.yaml:2:1: not valid YAML: Map keys must be unique/,
    );
  });
  it('stops aliases that multiply', () => {
    const lines = [
      'a0: &a0 [x, x, x, x, x, x, x, x, x, x]',
      ...Array.from({ length: 8 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(', ')}]`),
    ];
    expect(problems(() => parseYaml(lines.join('\n'), 'bomb.yaml'))[0]).toContain('bomb.yaml:1: cannot be read');
  });
  it('stops nesting that is too deep', () => {
    expect(problems(() => parseYaml('['.repeat(500) + ']'.repeat(500), 'deep.yaml'))[0]).toMatch(
      /^deep\.yaml:1:\d+: nested too deeply/,
    );
  });
  it('locates values, keys and list items', () => {
    const doc = parseYaml('a:\n  b:\n    - x\n    - y: 1\n', 'x.yaml');
    expect(doc.locate(['a', 'b', 1, 'y'])).toMatchObject({ line: 4, column: 10 });
    expect(doc.locate(['a', 'b', 1, 'y'], 'key')).toMatchObject({ line: 4, column: 7 });
    expect(doc.locate(['a', 'nowhere'])).toMatchObject({ line: 2 });
  });
  it('reads every document of a stream with its own lines', () => {
    const docs = parseYamlStream('a: 1\n---\nb: 2\n---\n', 'x.yaml');
    expect(docs.map((doc) => doc.value)).toEqual([{ a: 1 }, { b: 2 }]);
    expect(docs[1]!.locate(['b'])).toMatchObject({ line: 3 });
  });
});

describe('decodeText', () => {
  it.each([
    ['binary', Buffer.from([65, 0, 66]), /x: the file is binary\. Expected UTF-8 text/],
    ['not UTF-8', Buffer.from([0xc3, 0x28]), /x: the file is not valid UTF-8/],
    ['too large', Buffer.alloc(11, 65), /x: the file is 11 bytes\. Expected at most 10 bytes/],
  ])('refuses what is %s', (_, bytes, expected) => {
    expect(problems(() => decodeText(bytes, 'x', 10))[0]).toMatch(expected);
  });
});

describe('mixgate.yaml', () => {
  const check = (text: string): string[] =>
    problemsOf('mixgate', parseYaml(text, 'mixgate.yaml')).map((p) => `${p.location!.line}: ${p.message}${p.fix ?? ''}`);

  it('accepts the least there can be', () => {
    expect(checked('mixgate', parseYaml('version: 1\n', 'mixgate.yaml'))).toEqual({ version: 1 });
  });
  it('names an unknown key, where it is, and the one that was meant', () => {
    expect(check('version: 1\npolicies: {}\n')).toEqual(['2: unknown key `policies`.did you mean `policy`?']);
    expect(check('version: 1\npolicy:\n  roots: [p]\n  entrypoint: [a/b]\n  entrypoints: [a/b]\n')).toEqual([
      '4: unknown key `entrypoint` in policy.did you mean `entrypoints`?',
    ]);
  });
  it('reports every problem, not only the first', () => {
    expect(check('version: 2\npolicy:\n  roots: policies\ncatalog: {}\n')).toHaveLength(4);
  });
  it.each([
    ['version: one\n', /1: version is "one"/],
    ['- version: 1\n', /1: the document is a list/],
    ['version: 1\npolicy:\n', /2: policy is empty/],
    ['version: 1\npolicy:\n  roots: [p]\n  entrypoints: [decision]\n', /4: policy\.entrypoints\[0\] is "decision"/],
  ])('%j', (text, expected) => {
    expect(check(text).join('\n')).toMatch(expected);
  });
});
