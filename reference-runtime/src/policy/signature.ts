// Signed OPA bundles: `.signatures.json` holds a JWT whose payload lists every file with its hash
// (OPA documentation, "Bundles: Signing"; the format is what `opa sign` and `opa build --signing-key` write).
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { importSPKI, jwtVerify } from 'jose';
import { messageOf } from '../../../src/core/errors.ts';
import { BundleError } from './bundle-error.ts';

/** Whose signature a bundle must carry. The key is read again at each check, so that it can be rotated. */
export interface Verification {
  /** PEM file with a public key (SPKI). */
  key: string;
  /** RS256, ES256, PS256, ... Default RS256, as `opa sign` writes. */
  algorithm: string;
  /** The `scope` the signature must carry, if any. */
  scope?: string;
}

const SIGNATURES = '.signatures.json';
const HASHES: Record<string, string> = { 'SHA-256': 'sha256', 'SHA-384': 'sha384', 'SHA-512': 'sha512' };

/**
 * Checks that `files` are exactly what the signature lists. @throws BundleError that says what is wrong; nothing of an unverified
 * bundle may be used.
 */
export async function verifySignature(
  files: ReadonlyMap<string, Buffer>,
  verification: Verification,
  source: string,
): Promise<void> {
  const token = signatureToken(files, source);
  const listed = await listedFiles(token, verification, source);
  const present = [...files.keys()].filter((name) => name !== SIGNATURES);
  const unlisted = present.find((name) => !listed.has(name));
  if (unlisted !== undefined) throw new BundleError(`${source}: ${unlisted} is not covered by the bundle's signature`);
  for (const [name, { hash, algorithm }] of listed) {
    const bytes = files.get(name);
    if (bytes === undefined) throw new BundleError(`${source}: the signature lists ${name}, which the bundle lacks`);
    const digest = HASHES[algorithm];
    if (digest === undefined)
      throw new BundleError(
        `${source}: the signature hashes ${name} with ${algorithm}; known: ${Object.keys(HASHES).join(', ')}`,
      );
    if (hashFile(name, bytes, digest, source) !== hash) throw new BundleError(`${source}: ${name} is not what was signed`);
  }
}

function signatureToken(files: ReadonlyMap<string, Buffer>, source: string): string {
  const text = files.get(SIGNATURES);
  if (text === undefined) throw new BundleError(`${source}: the bundle is not signed; sign it with: opa build --signing-key KEY`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.toString('utf8'));
  } catch {
    throw new BundleError(`${source}: ${SIGNATURES} is not JSON`);
  }
  const signatures = typeof parsed === 'object' && parsed !== null && 'signatures' in parsed ? parsed.signatures : undefined;
  // OPA itself takes exactly one signature.
  if (!Array.isArray(signatures) || signatures.length !== 1 || typeof signatures[0] !== 'string')
    throw new BundleError(`${source}: ${SIGNATURES} needs one signature`);
  return signatures[0];
}

async function listedFiles(
  token: string,
  { key, algorithm, scope }: Verification,
  source: string,
): Promise<ReadonlyMap<string, { hash: string; algorithm: string }>> {
  let payload: Record<string, unknown>;
  try {
    const publicKey = await importSPKI(readFileSync(key, 'utf8'), algorithm);
    payload = (await jwtVerify(token, publicKey, { algorithms: [algorithm] })).payload;
  } catch (error) {
    const why = messageOf(error);
    throw new BundleError(`${source}: the signature does not hold against ${key}: ${why}`);
  }
  if (scope !== undefined && payload['scope'] !== scope)
    throw new BundleError(`${source}: the signature is for scope ${String(payload['scope'] ?? 'none')}, expected ${scope}`);
  const { files } = payload;
  if (!Array.isArray(files) || files.length === 0) throw new BundleError(`${source}: the signature lists no files`);
  const listed = new Map<string, { hash: string; algorithm: string }>();
  for (const file of files as unknown[]) {
    if (typeof file !== 'object' || file === null || !('name' in file) || !('hash' in file))
      throw new BundleError(`${source}: the signature's list of files is malformed`);
    const name = String(file.name).replace(/^\.?\/+/, '');
    listed.set(name, { hash: String(file.hash), algorithm: 'algorithm' in file ? String(file.algorithm) : 'SHA-256' });
  }
  return listed;
}

/** Structured files are hashed by what they say, not by how they are written: compact JSON with sorted keys, numbers as they stand. */
function hashFile(name: string, bytes: Buffer, digest: string, source: string): string {
  const hash = createHash(digest);
  if (!/(?:\.json|^\.manifest|\/\.manifest)$/.test(name)) return hash.update(bytes).digest('hex');
  try {
    return hash.update(canonical(parseExact(bytes.toString('utf8')))).digest('hex');
  } catch (error) {
    throw new BundleError(`${source}: ${name} is not JSON: ${messageOf(error)}`);
  }
}

/** A number with the digits it was written with: 1.0 and 1 hash differently. */
class Digits {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type ExactReviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;

function parseExact(text: string): unknown {
  const reviver: ExactReviver = (_key, value, context) =>
    typeof value === 'number' ? new Digits(context.source ?? String(value)) : value;
  return JSON.parse(text, reviver as (this: unknown, key: string, value: unknown) => unknown);
}

function canonical(value: unknown): string {
  if (value instanceof Digits) return value.text;
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return `{${entries.map(([key, item]) => `${text(key)}:${canonical(item)}`).join(',')}}`;
  }
  return typeof value === 'string' ? text(value) : JSON.stringify(value);
}

/** Go's encoder writes these two as escapes even where HTML is left alone. */
function text(value: string): string {
  return JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}
