import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import { compileProgram, missingBuiltins } from '../../src/policy/compile.ts';
import { describeFailure, PINNED_CLOCK_NS, PolicyInstance } from '../../src/policy/wasm.ts';
import { HOST_BUILTINS, SDK_BUILTINS } from '../../src/policy/wasm-eval.ts';
import { policy, testBench } from './support.ts';

const bench = await testBench();
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

async function instance(rego: string, data = {}, maxPages?: number): Promise<PolicyInstance> {
  const source = await policy(rego, data);
  const program = await compileProgram(bench.opa, source.modules, source.data, ['p/decision']);
  return new PolicyInstance(program.module, program.pages, {
    data: program.data,
    ...(maxPages === undefined ? {} : { maxPages }),
  });
}

describe('the WASM host', () => {
  test('the list of host functions is that of the SDK', () => {
    const folder = createRequire(import.meta.url)
      .resolve('@open-policy-agent/opa-wasm')
      .replace(/index\.cjs$/, 'builtins/index.js');
    expect(Object.keys(createRequire(import.meta.url)(folder) as object).sort()).toEqual([...SDK_BUILTINS].sort());
  });
  test.each(['null', 'false', '0', '""'])('the falsy input %s is an input', async (input) => {
    const one = await instance('package p\n\ndecision := {"seen": input}\n');
    expect(one.evaluate(0, encode(input))).toEqual({ value: `{"seen":${input}}` });
  });
  test('an undefined entrypoint is told from a false one', async () => {
    const one = await instance('package p\n\ndecision := input.x\n');
    expect(one.evaluate(0, encode('{}'))).toEqual({ undefined: true });
    expect(one.evaluate(0, encode('{"x":false}'))).toEqual({ value: 'false' });
  });
  test('a conflict comes back as a value with its place, and the next evaluation works', async () => {
    const one = await instance('package p\n\ndecision := 1 if input.a\n\ndecision := 2 if input.b\n');
    expect(one.evaluate(0, encode('{"a":true,"b":true}'))).toMatchObject({
      failure: { kind: 'conflict', place: expect.stringMatching(/p\.rego:5:1/) },
    });
    expect(one.evaluate(0, encode('{"b":true}'))).toEqual({ value: '2' });
  });
  test('the clock is pinned', async () => {
    const one = await instance('package p\n\ndecision := time.now_ns()\n');
    expect(one.evaluate(0, encode('{}'))).toEqual({ value: String(PINNED_CLOCK_NS) });
  });
  test('a builtin without a host function is known before evaluation', async () => {
    const source = await policy('package p\n\ndecision := uuid.rfc4122("x") if input.never\n');
    expect(missingBuiltins(await compileProgram(bench.opa, source.modules, {}, ['p/decision']))).toEqual(['uuid.rfc4122']);
    expect(HOST_BUILTINS.has('uuid.rfc4122')).toBe(false);
  });
  test('memory is bounded, and the instance recovers', async () => {
    const one = await instance('package p\n\ndecision := count([1 | some _ in numbers.range(1, input.n)])\n', {}, 64);
    expect(one.evaluate(0, encode('{"n":10000000}'))).toMatchObject({ failure: { kind: 'memory' } });
    expect(one.evaluate(0, encode('{"n":3}'))).toEqual({ value: '3' });
  });
  test('the memory that a module asks for is read from it: one with many constants asks for more than the usual', async () => {
    const rules = Array.from({ length: 3000 }, (_, i) => `s contains "${'x'.repeat(200)}${i}" if input.n == ${i}`);
    const source = await policy(`package p\n\ndecision := count(s)\n\n${rules.join('\n\n')}\n`);
    const program = await compileProgram(bench.opa, source.modules, {}, ['p/decision']);
    expect(program.pages).toBeGreaterThan(7);
    expect(new PolicyInstance(program.module, program.pages, { data: '{}' }).evaluate(0, encode('{"n":7}'))).toEqual({
      value: '1',
    });
  });
  test('malformed JSON is no input, and does no harm', async () => {
    const one = await instance('package p\n\ndecision := input\n');
    expect(one.evaluate(0, encode('{"a":'))).toEqual({ undefined: true });
    expect(one.evaluate(0, encode('{"a":1}'))).toEqual({ value: '{"a":1}' });
  });
  test.each([
    ['a string of OPA', 'a/b.rego:3:4: var assignment conflict', 'conflict'],
    ['a plain object', { message: 'not implemented: built-in function 3: http.send' }, 'builtin'],
    ['a RangeError', new RangeError('Maximum call stack size exceeded'), 'stack'],
    ['malloc', 'opa_malloc: failed', 'memory'],
    ['anything else', 42, 'trap'],
  ])('what is thrown is normalised: %s', (_name, thrown, kind) => {
    expect(describeFailure(thrown).kind).toBe(kind);
  });
});
