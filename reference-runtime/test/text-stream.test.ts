// A text stream against the obvious way to do it: look at the whole text again after every push.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TextStream } from '../src/engine/text-stream.ts';

const encoder = new TextEncoder();

/** What is out after each push of `parts`: up to the first stop sequence, else all that cannot be the beginning of one. */
function whole(parts: string[], stops: string[]): Array<{ out: string; stopped: boolean }> {
  const sequences = stops.filter((stop) => stop !== '');
  const states: Array<{ out: string; stopped: boolean }> = [];
  let text = '';
  for (const part of parts) {
    const last = states.at(-1);
    if (last?.stopped) {
      states.push(last);
      continue;
    }
    text += part;
    const found = sequences.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    let sure = text.length;
    while (sequences.some((stop) => beginsIn(text, sure, stop))) sure--;
    states.push(
      found.length > 0 ? { out: text.slice(0, Math.min(...found)), stopped: true } : { out: text.slice(0, sure), stopped: false },
    );
  }
  return states;
}

/** Whether some end of `text` that starts before `sure` begins `stop`. */
function beginsIn(text: string, sure: number, stop: string): boolean {
  for (let at = 0; at < sure; at++) if (stop.startsWith(text.slice(at))) return true;
  return false;
}

it('emits all that is certain after every push, and the rest at the end', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 4 });
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 12 }), fc.array(letters, { maxLength: 3 }), (parts, stops) => {
      const stream = new TextStream(stops);
      let out = '';
      const states = parts.map((part) => {
        const { text, stopped } = stream.push(encoder.encode(part));
        out += text;
        return { out, stopped };
      });
      const expected = whole(parts, stops);
      expect(states).toEqual(expected);
      const { text, stopped } = stream.finish();
      expect(stopped).toBe(expected.at(-1)?.stopped ?? false);
      expect(out + text).toBe(stopped ? out : parts.join(''));
    }),
    { numRuns: 500 },
  );
});

it('keeps a byte order mark: the model wrote it', () => {
  const stream = new TextStream([]);
  expect(stream.push(encoder.encode('\ufeffa')).text + stream.finish().text).toBe('\ufeffa');
});
