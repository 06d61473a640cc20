// What a bundle's signature must say, and of what it must say it.
import { createHash, generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { SignJWT } from 'jose';
import { afterAll, describe, expect, it } from 'vitest';
import { BundleError } from '../src/policy/bundle-error.ts';
import { type Verification, verifySignature } from '../src/policy/signature.ts';
import { temporary } from './support/models.ts';

const dir = temporary();
afterAll(dir.remove);
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = dir.file('key.pem');
writeFileSync(key, pair.publicKey.export({ type: 'spki', format: 'pem' }));

const hashOf = (text: string, algorithm = 'sha256'): string => createHash(algorithm).update(text).digest('hex');
const sign = (payload: Record<string, unknown>): Promise<string> =>
  new SignJWT(payload).setProtectedHeader({ alg: 'ES256' }).sign(pair.privateKey);

/** The refusal of files whose signature has this payload, undefined where they are taken. */
async function refusal(
  files: Record<string, string>,
  payload: Record<string, unknown>,
  more: Partial<Verification> = {},
): Promise<string | undefined> {
  return await check({ ...files, '.signatures.json': JSON.stringify({ signatures: [await sign(payload)] }) }, more);
}
async function check(files: Record<string, string>, more: Partial<Verification> = {}): Promise<string | undefined> {
  const buffers = new Map(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)]));
  return await verifySignature(buffers, { key, algorithm: 'ES256', ...more }, 'b').then(
    () => undefined,
    (error: unknown) => {
      expect(error).toBeInstanceOf(BundleError);
      return (error as Error).message;
    },
  );
}
const entry = (name: string, text: string, algorithm?: [name: string, digest: string]): object => ({
  name,
  hash: hashOf(text, algorithm?.[1]),
  ...(algorithm === undefined ? {} : { algorithm: algorithm[0] }),
});
const REGO = 'package a';

describe('a signature', () => {
  it.each<[string, object]>([
    ['SHA-256', entry('a.rego', REGO, ['SHA-256', 'sha256'])],
    ['SHA-384', entry('a.rego', REGO, ['SHA-384', 'sha384'])],
    ['SHA-512', entry('a.rego', REGO, ['SHA-512', 'sha512'])],
    ['no algorithm, which is SHA-256', entry('a.rego', REGO)],
    ['a name from the root', entry('/a.rego', REGO)],
    ['a name from here', entry('./a.rego', REGO)],
  ])('with %s holds', async (_title, file) => expect(await refusal({ 'a.rego': REGO }, { files: [file] })).toBeUndefined());

  it('for the scope that is asked for holds, and for no other', async () => {
    const files = [entry('a.rego', REGO)];
    expect(await refusal({ 'a.rego': REGO }, { files, scope: 'read' }, { scope: 'read' })).toBeUndefined();
    expect(await refusal({ 'a.rego': REGO }, { files, scope: 'read' })).toBeUndefined();
    expect(await refusal({ 'a.rego': REGO }, { files, scope: 'read' }, { scope: 'write' })).toMatch(
      /is for scope read, expected write/,
    );
    expect(await refusal({ 'a.rego': REGO }, { files }, { scope: 'write' })).toMatch(/is for scope none, expected write/);
  });

  it.each<[string, unknown, RegExp]>([
    ['no list of files', undefined, /lists no files/],
    ['an empty list', [], /lists no files/],
    ['something else than a list', { length: 1 }, /lists no files/],
    ['an entry of null', [null], /malformed/],
    ['an entry that is a text', ['a.rego'], /malformed/],
    ['an entry without a hash', [{ name: 'a.rego' }], /malformed/],
    ['an entry without a name', [{ hash: hashOf(REGO) }], /malformed/],
    ['another hash', [entry('a.rego', 'package b')], /a\.rego is not what was signed/],
    [
      'a hash of an unknown kind',
      [{ ...entry('a.rego', REGO), algorithm: 'MD5' }],
      /hashes a\.rego with MD5; known: SHA-256, SHA-384, SHA-512/,
    ],
    ['a file that is not there', [entry('a.rego', REGO), entry('b.rego', REGO)], /lists b\.rego, which the bundle lacks/],
    ['another file only', [entry('b.rego', REGO)], /a\.rego is not covered/],
  ])('with %s is refused', async (_title, files, message) =>
    expect(await refusal({ 'a.rego': REGO }, { files })).toMatch(message),
  );

  it.each([
    ['no JSON', '{', /is not JSON/],
    ['null', 'null', /needs one signature/],
    ['a number', '1', /needs one signature/],
    ['no list', '{}', /needs one signature/],
    ['an empty list', '{"signatures": []}', /needs one signature/],
    ['a list of something else', '{"signatures": [1]}', /needs one signature/],
    ['a text for a list', '{"signatures": "x"}', /needs one signature/],
    ['a token that is none', '{"signatures": ["a.b.c"]}', /does not hold against/],
  ])('in a file of %s is refused', async (_title, text, message) =>
    expect(await check({ 'a.rego': REGO, '.signatures.json': text })).toMatch(message),
  );
});

// OPA documentation, "Bundles: Signing": structured files are hashed by their content, keys sorted, numbers as they are written.
it('covers what a structured file says, not how it is written', async () => {
  const canonical = '{"a":[1.0,null,true,"x\\u2028\\"é"],"b":{"c":1e2,"d":[]}}';
  const written = '{ "b": {"d": [ ], "c": 1e2},\n "a": [1.0, null, true, "x\\u2028\\"\\u00e9"] }';
  const files = (name: string): Record<string, unknown> => ({ files: [entry(name, canonical)] });
  for (const name of ['data.json', '.manifest', 'sub/.manifest']) {
    expect(await refusal({ [name]: written }, files(name))).toBeUndefined();
    expect(await refusal({ [name]: written.replace('1.0', '1') }, files(name))).toMatch(/is not what was signed/);
    expect(await refusal({ [name]: written.replace('true', 'false') }, files(name))).toMatch(/is not what was signed/);
    expect(await refusal({ [name]: '{' }, files(name))).toMatch(/is not JSON/);
  }
  expect(await refusal({ 'x.manifest': written }, files('x.manifest'))).toMatch(/is not what was signed/);
});
