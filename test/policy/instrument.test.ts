import { describe, expect, test } from 'vitest';
import { sameOutcome } from '../../src/policy/attribution.ts';
import { tracedProgram } from '../../src/policy/side.ts';
import { policy, side, testBench } from './support.ts';

const bench = await testBench();

/** Rego in the shapes that an edit of the text could get wrong; each decides the same with hooks as without. */
const SHAPES: readonly (readonly [string, string, readonly unknown[]])[] = [
  ['braces, comments inside', 'decision := 1 if { # why\n\t# more\n\tinput.a # here\n}\n', [{ a: 1 }, {}]],
  ['no braces', 'decision := 1 if input.a\n', [{ a: 1 }, {}]],
  [
    'an else chain of every kind',
    'decision := 1 if input.a\n\nelse := 2 if {\n\tinput.b\n}\n\nelse := 3 if not input.c\n\nelse := 4\n',
    [{ a: 1 }, { b: 1 }, { c: 1 }, {}],
  ],
  [
    'a body that starts with a brace of its own',
    'decision := 1 if {1, 2} == {x | some x in input.xs}\n',
    [{ xs: [1, 2] }, { xs: [1] }],
  ],
  ['negation first', 'decision := 1 if not input.a\n', [{ a: 1 }, {}]],
  [
    'every, some and with',
    'decision := r if {\n\tevery x in input.xs { x > 0 }\n\tsome i\n\tinput.xs[i] == 2\n\tr := q with input.y as i\n}\n\nq := input.y\n',
    [{ xs: [1, 2] }, { xs: [0, 2] }],
  ],
  [
    'sets, objects, functions, defaults',
    'default decision := "none"\n\ndecision := {"s": s, "m": m, "f": f(input.n)} if input.n\n\ns contains "a"\n\ns contains x if some x in input.xs\n\nm[k] := v if some k, v in input.o\n\ndefault f(_) := 0\n\nf(x) := x + 1 if x > 1\n',
    [{ n: 2, xs: ['b'], o: { k: 1 } }, { n: 1 }, {}],
  ],
  [
    'several lines in a value',
    'decision := {\n\t"a": input.a, # one\n\t"b": [x |\n\t\tsome x in input.xs\n\t\tx > 1\n\t],\n}\n',
    [{ a: 1, xs: [1, 2] }, {}],
  ],
  [
    'letters outside ASCII before the body',
    'decision := "äöü€😀" if { input.a == "ü"; input.b == "€" }\n',
    [{ a: 'ü', b: '€' }, {}],
  ],
  ['a template string', 'decision := $"hello {input.a}"\n', [{ a: 'x' }, {}]],
  [
    'comments between the links of a chain',
    'decision := 1 if input.a == "#" # one "#" # two\n\n# else := 9\nelse := "#2" if { # three\n\tinput.b # four\n} # five\n\n# six }\n\nelse := [ # seven\n\t3, # eight\n] if {\n\tinput.c # nine\n\t# ten\n}\n# eleven\nelse := 4 # twelve\n',
    [{ a: '#' }, { b: 1 }, { c: 1 }, {}],
  ],
  [
    'a comment that repeats the condition',
    'decision := 1 if input.a > 1 # input.a > 1\n\nelse := 2 if { input.b } # { input.b }\n\nelse := 3\n',
    [{ a: 2 }, { b: 1 }, {}],
  ],
  ['comments behind facts', 'decision := [a, s] # one\n\na := 1 # two\n\ns contains "x" # three\n', [{}]],
  ['dotted heads', 'decision := a\n\na.b.c := 1 if input.x\n\na.d := 2\n', [{ x: 1 }, {}]],
];

describe('instrumented policies', () => {
  test.each(SHAPES)('%s: same decisions as the plain policy', async (_name, rego, inputs) => {
    const one = await side(bench, await policy(`package p\n\n${rego}`));
    const traced = await tracedProgram(one);
    expect(traced).toBeDefined();
    const texts = inputs.map((input) => JSON.stringify(input));
    const plain = await bench.pool.outcomes(one.plain, 'p/decision', texts);
    const hooked = await bench.pool.traces(
      traced!,
      'p/decision',
      texts.map((input) => ({ input })),
      true,
    );
    for (const [i, outcome] of plain.entries()) expect(sameOutcome(outcome, hooked[i]!.outcome), texts[i]!).toBe(true);
  });
  test('a definition that is switched off does not hold', async () => {
    const one = await side(bench, await policy('package p\n\ndecision := 1 if input.a\n\nelse := 2\n'));
    const traced = (await tracedProgram(one))!;
    const first = one.definitions[0]!.id;
    const [on, off] = await bench.pool.traces(
      traced,
      'p/decision',
      [{ input: '{"a":1}' }, { input: '{"a":1}', off: first }],
      true,
    );
    expect([on!.outcome, off!.outcome]).toEqual([{ value: '1' }, { value: '2' }]);
    expect(on!.fired.map(([id]) => id)).toEqual([first]);
  });
});
