import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { problemsOf } from '../../src/config/schema.ts';
import { keyId, openEnvelope, preAuthEncoding, readKey, signEnvelope } from '../../src/promotion/dsse.ts';
import { readEvidence, signingKey, writeEvidence } from '../../src/promotion/evidence.ts';
import { evidenceDigest, evidenceFrom, statementDigest } from '../../src/promotion/statement.ts';
import { NOW, reportFor } from './support.ts';

const COMMIT = 'a'.repeat(40);
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mixgate-evidence-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const only = (): string => readdirSync(dir).find((name) => name.endsWith('.json'))!;

describe('evidenceFrom', () => {
  it('is a valid statement that names commit, verdicts, tools and seed', () => {
    const statement = evidenceFrom(reportFor(COMMIT, { policy: 'pass', slo: 'warn' }), NOW);
    expect(problemsOf('evidence', { value: statement as never, locate: () => ({ file: 'x' }) })).toEqual([]);
    expect(statement).toMatchObject({
      _type: 'https://in-toto.io/Statement/v1',
      predicateType: 'https://mixgate.dev/evidence/v1',
      subject: [{ name: 'commit', digest: { gitCommit: COMMIT } }],
      predicate: {
        verdict: 'warn',
        commit: COMMIT,
        base: null,
        created: NOW,
        seed: 7,
        toolVersions: { mixgate: '0.1.0', opa: '1.21.1' },
        gates: [
          { id: 'policy', verdict: 'pass' },
          { id: 'slo', verdict: 'warn' },
        ],
      },
    });
  });
  it('has no commit for a working tree, and still a subject', () => {
    const statement = evidenceFrom(reportFor(undefined, { slo: 'pass' }), NOW);
    expect(statement.predicate.commit).toBeNull();
    expect(statement.subject).toHaveLength(1);
  });
  it('gives the same digest for the same run and another for another time', () => {
    const report = reportFor(COMMIT, { policy: 'pass' });
    expect(statementDigest(evidenceFrom(report, NOW))).toBe(statementDigest(evidenceFrom(structuredClone(report), NOW)));
    expect(statementDigest(evidenceFrom(report, NOW))).not.toBe(
      statementDigest(evidenceFrom(report, '2026-02-02T00:00:00.000Z')),
    );
  });
  it('digests a set of statements in any order', () => {
    const [a, b] = [
      evidenceFrom(reportFor(COMMIT, { policy: 'pass' }), NOW),
      evidenceFrom(reportFor(COMMIT, { slo: 'pass' }), NOW),
    ];
    expect(evidenceDigest([a, b])).toBe(evidenceDigest([b, a]));
    expect(evidenceDigest([a])).not.toBe(evidenceDigest([a, b]));
  });
});

describe('readEvidence', () => {
  it('reads back what was written', async () => {
    const written = await writeEvidence(reportFor(COMMIT, { policy: 'pass' }), { dir, now: NOW });
    const set = await readEvidence(dir);
    expect(set.altered).toEqual([]);
    expect(set.evidence).toMatchObject([{ digest: written.digest, signed: false, signedBy: [] }]);
    expect(set.evidence[0]!.statement).toEqual(written.statement);
  });
  it.each([
    ['a verdict edited in the statement', (text: string) => text.replace('"verdict":"fail"', '"verdict":"pass"')],
    ['a space added', (text: string) => `${text} `],
    ['the file cut in half', (text: string) => text.slice(0, text.length / 2)],
    ['the commit replaced', (text: string) => text.replaceAll(COMMIT, 'b'.repeat(40))],
    ['binary rubbish', () => '\0\0\0'],
  ])('finds %s', async (_title, edit) => {
    await writeEvidence(reportFor(COMMIT, { policy: 'fail' }), { dir, now: NOW });
    writeFileSync(join(dir, only()), edit(readFileSync(join(dir, only()), 'utf8')));
    const set = await readEvidence(dir);
    expect(set.evidence).toEqual([]);
    expect(set.altered.length).toBeGreaterThan(0);
    expect(set.altered[0]!.location?.file).toBe(only());
  });
  it('finds an edited report beside the statement', async () => {
    await writeEvidence(reportFor(COMMIT, { policy: 'fail' }), { dir, now: NOW });
    const report = join(dir, 'reports', readdirSync(join(dir, 'reports'))[0]!);
    writeFileSync(report, readFileSync(report, 'utf8').replaceAll('fail', 'pass'));
    expect((await readEvidence(dir)).altered[0]?.message).toContain('another digest');
  });
  it('finds a report beside the statement that is no JSON, and needs none', async () => {
    await writeEvidence(reportFor(COMMIT, { policy: 'pass' }), { dir, now: NOW });
    const report = join(dir, 'reports', readdirSync(join(dir, 'reports'))[0]!);
    writeFileSync(report, '{');
    expect((await readEvidence(dir)).altered[0]?.message).toContain('is not JSON');
    rmSync(report);
    expect((await readEvidence(dir)).altered).toEqual([]);
  });
  it('reads no file of more than 4 MiB, and no folder of more than 500', async () => {
    await writeEvidence(reportFor(COMMIT, { policy: 'pass' }), { dir, now: NOW });
    writeFileSync(join(dir, `${'0'.repeat(64)}.json`), Buffer.alloc(4 * 1024 * 1024 + 1, 0x20));
    const { altered, evidence } = await readEvidence(dir);
    expect([evidence.length, altered.map(({ message }) => message)]).toEqual([1, ['the evidence file is too large.']]);
    for (let index = 1; index <= 498; index++) writeFileSync(join(dir, `${index}.json`), '{}');
    expect((await readEvidence(dir)).evidence).toHaveLength(1);
    writeFileSync(join(dir, '499.json'), '{}');
    await expect(readEvidence(dir)).rejects.toThrow(/holds 501 files/);
  });
  it.each([
    ['a folder', (path: string) => mkdirSync(path)],
    ['a pipe', (path: string) => execFileSync('mkfifo', [path])],
    ['a link to nothing', (path: string) => symlinkSync('nowhere', path)],
  ])('says that %s is no evidence, and reads the rest', async (_title, make) => {
    await writeEvidence(reportFor(COMMIT, { policy: 'pass' }), { dir, now: NOW });
    make(join(dir, 'other.json'));
    const { altered, evidence } = await readEvidence(dir);
    expect([evidence.length, altered.map(({ message, location }) => [message, location?.file])]).toEqual([
      1,
      [['the evidence is not a file that can be read.', 'other.json']],
    ]);
  });
  it('refuses a statement whose verdict is better than its gates, even with a fitting name', async () => {
    const { canonicalJson, sha256 } = await import('../../src/core/json.ts');
    const honest = evidenceFrom(reportFor(COMMIT, { policy: 'fail' }), NOW);
    const text = canonicalJson({ ...honest, predicate: { ...honest.predicate, verdict: 'pass' } });
    writeFileSync(join(dir, `${sha256(text)}.json`), text);
    expect((await readEvidence(dir)).altered[0]?.message).toContain('one of its gates says otherwise');
  });
  it.each([
    ['a missing folder', 'nowhere', 'cannot be read'],
    ['an empty folder', '', 'holds no evidence'],
  ])('explains %s', async (_title, name, message) => {
    await expect(readEvidence(join(dir, name))).rejects.toThrow(message);
  });
});

describe('signatures', () => {
  const pair = generateKeyPairSync('ed25519');
  const other = generateKeyPairSync('ed25519');
  it('encodes as the DSSE specification does', () => {
    // protocol.md of secure-systems-lab/dsse, "Test vectors".
    expect(preAuthEncoding('http://example.com/HelloWorld', Buffer.from('hello world')).toString()).toBe(
      'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
    );
  });
  it('counts the keys that signed, and no others', () => {
    const envelope = signEnvelope(Buffer.from('{}'), pair.privateKey);
    expect(openEnvelope(envelope, [pair.publicKey, other.publicKey]).signedBy).toEqual([keyId(pair.publicKey)]);
    expect(openEnvelope(envelope, [other.publicKey]).signedBy).toEqual([]);
    expect(openEnvelope({ ...envelope, payload: Buffer.from('{"a":1}').toString('base64') }, [pair.publicKey]).signedBy).toEqual(
      [],
    );
  });
  it('names each key once, in one order, however often and in which order they signed', () => {
    const [one, two] = [signEnvelope(Buffer.from('{}'), pair.privateKey), signEnvelope(Buffer.from('{}'), other.privateKey)];
    const both = { ...one, signatures: [...two.signatures, ...one.signatures, ...two.signatures] } as typeof one;
    const ids = [keyId(pair.publicKey), keyId(other.publicKey)].sort();
    expect(openEnvelope(both, [pair.publicKey, other.publicKey, pair.publicKey]).signedBy).toEqual(ids);
    expect(openEnvelope(both, [other.publicKey, pair.publicKey]).signedBy).toEqual(ids);
    // The type is part of what is signed.
    expect(openEnvelope({ ...one, payloadType: 'text/plain' } as unknown as typeof one, [pair.publicKey]).signedBy).toEqual([]);
  });
  it('reads signed evidence back with the key that signed it', async () => {
    await writeEvidence(reportFor(COMMIT, { policy: 'pass' }), { dir, now: NOW, privateKey: pair.privateKey });
    expect(only()).toMatch(/^[0-9a-f]{64}\.dsse\.json$/);
    expect((await readEvidence(dir, [pair.publicKey])).evidence).toMatchObject([
      { signed: true, signedBy: [keyId(pair.publicKey)] },
    ]);
    expect((await readEvidence(dir, [other.publicKey])).evidence).toMatchObject([{ signed: true, signedBy: [] }]);
  });
  it.each([
    ['text that is no key', 'hello', 'not a private key'],
    [
      'an RSA key',
      generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      'of type rsa',
    ],
  ])('refuses %s', (_title, pem, message) => {
    expect(() => readKey(pem, 'private', 'key.pem')).toThrow(message);
  });
  it('reads a public key as one, and no private key from it', () => {
    const pem = pair.publicKey.export({ type: 'spki', format: 'pem' }) as string;
    expect(keyId(readKey(pem, 'public', 'key.pem'))).toBe(keyId(pair.privateKey));
    expect(() => readKey(pem, 'private', 'key.pem')).toThrow('not a private key');
  });
  it('reads the signing key that the environment names, and explains a missing one', async () => {
    const file = join(dir, 'key.pem');
    writeFileSync(file, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    expect(keyId((await signingKey({ MIXGATE_SIGNING_KEY: file }))!)).toBe(keyId(pair.publicKey));
    expect(await signingKey({})).toBeUndefined();
    expect(await signingKey({ MIXGATE_SIGNING_KEY: '' })).toBeUndefined();
    await expect(signingKey({ MIXGATE_SIGNING_KEY: join(dir, 'none.pem') })).rejects.toThrow('cannot be read');
  });
});
