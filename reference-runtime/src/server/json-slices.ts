// A large JSON object in slices: made piece by piece, with a turn of the event loop between them, so that neither the loop nor the memory
// has to hold all of it at once.
import { setImmediate as turn } from 'node:timers/promises';

/** Characters of a slice, about: less than a millisecond's work. */
const SLICE = 64 * 1024;

/** `head` with one more member `key`, a list of `items`, as JSON text in order. */
export async function* jsonSlices(head: object, key: string, items: Iterable<unknown>): AsyncGenerator<string, void, undefined> {
  const opening = JSON.stringify(head).slice(0, -1);
  let text = `${opening}${opening === '{' ? '' : ','}${JSON.stringify(key)}:[`;
  let first = true;
  for (const item of items) {
    text += `${first ? '' : ','}${JSON.stringify(item)}`;
    first = false;
    if (text.length < SLICE) continue;
    yield text;
    text = '';
    await turn();
  }
  yield `${text}]}`;
}
