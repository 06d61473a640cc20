import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCli } from '../../support/cli.ts';
import { temporaryFolder } from '../../support/folder.ts';

const dir = temporaryFolder();
writeFileSync(join(dir, 'cases.ndjson'), '{"id":"a","design":"paired","metrics":[]}\n');
writeFileSync(join(dir, 'empty.ndjson'), '');
writeFileSync(join(dir, 'samples.csv'), 'metric,value\nlatency,1\nlatency,2\n');
const FILES = ['--baseline', 'samples.csv', '--candidate', './samples.csv'];

describe('flags of canary judge', () => {
  it.each([
    ['a folder as batch', ['--batch', '.'], 'cannot be read: it is a folder'],
    ['no such batch', ['--batch', 'none.ndjson'], 'there is no such file'],
    ['an empty batch', ['--batch', 'empty.ndjson'], 'there are no cases'],
    ['a batch and a baseline', ['--batch', 'cases.ndjson', '--baseline', 'samples.csv'], '--baseline does not go with --batch'],
    ['a batch and an alpha', ['--batch', 'cases.ndjson', '--alpha', '0.1'], '--alpha does not go with --batch'],
    ['an alpha above one', [...FILES, '--alpha', '3'], '--alpha is 3. Expected a number between 0 and 0.5'],
    ['no looks', [...FILES, '--looks', '0'], '--looks is 0. Expected a whole number of at least 1'],
    ['a look past the last', [...FILES, '--looks', '3', '--look', '4'], '--look is 4. Expected a whole number from 1 to --looks'],
    ['a look of unknown looks', [...FILES, '--look', '2'], '--look is 2. Expected a whole number from 1 to --looks'],
  ])('%s is a usage error', async (_title, args, message) => {
    const ran = await runCli(['canary', 'judge', ...args], { cwd: dir });
    expect([ran.code, ran.stdout]).toEqual([2, '']);
    expect(ran.stderr).toContain(message);
    expect(ran.stderr.trim().split('\n')).toHaveLength(1);
  });
});
