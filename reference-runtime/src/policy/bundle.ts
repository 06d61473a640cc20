// OPA bundles with compiled WebAssembly, from a directory or from the archive that `opa build -t wasm` writes. Bounded in size.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import tar from 'tar-stream';
import { messageOf } from '../../../src/core/errors.ts';
import { bundleData, isData } from './bundle-data.ts';
import { BundleError } from './bundle-error.ts';
import { type Verification, verifySignature } from './signature.ts';

/** Largest bundle, and largest file in one, in bytes. */
export const MAX_BUNDLE_BYTES = 64 * 1024 * 1024;

const MANIFEST = '.manifest';
const WASM = 'policy.wasm';

/** What is read of an unsigned folder: it may hold anything else, hidden folders included. */
function isPart(name: string): boolean {
  return name === MANIFEST || name === WASM || (isData(name) && !name.split('/').some((part) => part.startsWith('.')));
}

/** A mounted ConfigMap has its files a second time in folders `..data` and `..TIME`. */
function isMountsOwn(name: string): boolean {
  return name.startsWith('..');
}

/** Files of an unsigned folder at most: it is a bundle, and no disk. */
const MAX_ENTRIES = 10_000;

const MAX_REVISION_CHARS = 256;

export { BundleError };

/** A policy bundle ready to be evaluated. `digest` covers code and data: sha256, hex. */
export interface Bundle {
  source: string;
  revision: string;
  digest: string;
  wasm: Uint8Array;
  data: unknown;
}

interface Manifest {
  revision?: unknown;
  roots?: unknown;
}

function manifestOf(files: ReadonlyMap<string, Buffer>, source: string): Manifest {
  const text = files.get(MANIFEST);
  if (text === undefined) return {};
  try {
    const manifest: unknown = JSON.parse(text.toString('utf8'));
    return typeof manifest === 'object' && manifest !== null ? manifest : {};
  } catch (error) {
    throw new BundleError(`${source}: ${MANIFEST} is not JSON: ${messageOf(error)}`);
  }
}

function assemble(source: string, files: Map<string, Buffer>): Bundle {
  const wasm = files.get(WASM);
  if (wasm === undefined) {
    if (files.has('patch.json'))
      throw new BundleError(`${source}: a delta bundle (patch.json); only whole bundles are taken (OPA: mode snapshot)`);
    throw new BundleError(`${source}: no ${WASM} in the bundle; build it with: opa build -t wasm -e routing/decision`);
  }
  const { revision, roots } = manifestOf(files, source);
  const data = bundleData(files, Array.isArray(roots) ? roots.map(String) : [''], source);
  const digest = createHash('sha256').update(wasm).update(JSON.stringify(data)).digest('hex');
  const named = revision ?? '';
  // It stands in every line of the decision log, in metrics and in answers.
  if (typeof named !== 'string' || named.length > MAX_REVISION_CHARS || /\p{Cc}/u.test(named))
    throw new BundleError(`${source}: the revision in ${MANIFEST} is not one line of at most ${MAX_REVISION_CHARS} characters`);
  return { source, wasm, data, digest, revision: named === '' ? digest.slice(0, 12) : named };
}

/** Reads a bundle archive (tar, gzipped); its signature is checked before anything in it is looked at. @throws BundleError */
export async function bundleFromArchive(bytes: Uint8Array, source: string, verify?: Verification): Promise<Bundle> {
  let plain: Buffer;
  try {
    plain = gunzipSync(bytes, { maxOutputLength: MAX_BUNDLE_BYTES });
  } catch (error) {
    throw new BundleError(`${source}: not a gzipped bundle of at most ${MAX_BUNDLE_BYTES} bytes: ${messageOf(error)}`);
  }
  const files = new Map<string, Buffer>();
  const extract = tar.extract();
  extract.end(plain);
  try {
    for await (const entry of extract) {
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      if (entry.header.type === 'file') files.set(entry.header.name.replace(/^\.?\/+/, ''), Buffer.concat(chunks));
    }
  } catch (error) {
    throw new BundleError(`${source}: broken archive: ${messageOf(error)}`);
  }
  if (verify !== undefined) await verifySignature(files, verify, source);
  return assemble(source, files);
}

/** Reads a bundle from a directory (policy.wasm, data, .manifest, .signatures.json) or an archive. @throws BundleError */
export async function loadBundle(path: string, verify?: Verification): Promise<Bundle> {
  if (!existsSync(path)) throw new BundleError(`${path}: no such bundle`);
  if (!statSync(path).isDirectory()) {
    if (statSync(path).size > MAX_BUNDLE_BYTES) throw new BundleError(`${path}: larger than ${MAX_BUNDLE_BYTES} bytes`);
    return bundleFromArchive(readFileSync(path), path, verify);
  }
  const files = new Map<string, Buffer>();
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) => !isMountsOwn(name));
  if (names.length > MAX_ENTRIES)
    throw new BundleError(`${path}: more than ${MAX_ENTRIES} files; a bundle has a folder of its own`);
  for (const name of verify === undefined ? names.filter(isPart) : names) {
    const file = join(path, name);
    if (!existsSync(file) || statSync(file).isDirectory()) continue;
    if (statSync(file).size > MAX_BUNDLE_BYTES) throw new BundleError(`${file}: larger than ${MAX_BUNDLE_BYTES} bytes`);
    files.set(name, readFileSync(file));
  }
  if (verify !== undefined) await verifySignature(files, verify, path);
  return assemble(path, files);
}
