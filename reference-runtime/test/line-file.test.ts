import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { LineFile } from '../src/telemetry/line-file.ts';
import { temporary } from './support/models.ts';

const dir = temporary();
afterAll(() => dir.remove());
const drops: string[] = [];
const open = (name: string): LineFile => new LineFile(dir.file(name), (count, reason) => drops.push(`${count} ${reason}`));
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

it('makes lines after the caller, in order, and flush leaves none behind', async () => {
  const file = open('order.log');
  const made: number[] = [];
  for (let index = 0; index < 2500; index++)
    file.write(() => {
      made.push(index);
      return `${index} ${'x'.repeat(400)}`;
    });
  expect(made).toEqual([]);
  // More than one write's worth: what comes while a write runs is part of what flush waits for.
  await turn();
  file.write('last');
  await file.flush();
  const lines = readFileSync(file.path, 'utf8').trimEnd().split('\n');
  expect(lines.map((line) => line.split(' ')[0])).toEqual([...Array.from({ length: 2500 }, (_, index) => String(index)), 'last']);
  expect(drops).toEqual([]);
});

it('writes without being asked to, into a new file once the old one was moved away', async () => {
  const file = open('rotated.log');
  file.write('before');
  await file.flush();
  renameSync(file.path, `${file.path}.1`);
  file.write('after');
  for (let text = ''; text !== 'after\n'; ) {
    await turn();
    text = readFileSync(file.path, { encoding: 'utf8', flag: 'a+' });
  }
  expect(readFileSync(`${file.path}.1`, 'utf8')).toBe('before\n');
});

it('drops and counts what cannot be made, cannot be written, or is too much', async () => {
  drops.length = 0;
  const file = open('gone/some.log');
  file.write('no folder');
  file.write(() => {
    throw new Error('no such line');
  });
  await file.flush();
  expect(drops).toEqual(['1 no such line', expect.stringMatching(/^1 ENOENT/)]);
  mkdirSync(dir.file('gone'));
  drops.length = 0;
  for (let index = 0; index < 10_003; index++) file.write('many');
  await file.flush();
  expect(drops).toEqual(Array(3).fill('1 queue full'));
  expect(readFileSync(file.path, 'utf8').length).toBe(10_000 * 5);
});

it('keeps two files of about the size it is given, and loses no line but those of the file before the older one', async () => {
  const lost: string[] = [];
  const file = new LineFile(dir.file('sized.log'), (count, reason) => lost.push(`${count} ${reason}`), 100);
  // A batch of 63 bytes each: the second fills the file, the third finds it full.
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    file.write(name.repeat(62));
    await file.flush();
  }
  const lines = (path: string): string[] => readFileSync(path, 'utf8').trimEnd().split('\n');
  expect(lines(file.path).map((line) => line[0])).toEqual(['e']);
  expect(lines(`${file.path}.1`).map((line) => line[0])).toEqual(['c', 'd']);
  expect(lost).toEqual([]);
});
