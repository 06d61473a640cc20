// Reading a file of lines while a server writes it: in batches, so that the last line may not be whole yet.
import { readFileSync } from 'node:fs';

/** The lines of `path` that are whole, each as JSON; none when there is no file yet. */
export function wholeLines<T>(path: string): T[] {
  const text = readFileSync(path, { encoding: 'utf8', flag: 'a+' });
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}
