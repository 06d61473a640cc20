// OPA bundles with compiled WebAssembly, from a directory or from the archive that `opa build -t wasm` writes. Bounded in size.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import tar from 'tar-stream';

const MAX_BYTES = 64 * 1024 * 1024;

/** A policy bundle ready to be evaluated. `digest` covers code and data: sha256, hex. */
export interface Bundle {
  source: string;
  revision: string;
  digest: string;
  wasm: Uint8Array;
  data: unknown;
}

/** A bundle that cannot be used. */
export class BundleError extends Error {}

function assemble(source: string, files: Map<string, Buffer>): Bundle {
  const wasm = files.get('policy.wasm');
  if (wasm === undefined)
    throw new BundleError(`${source}: no policy.wasm in the bundle; build it with: opa build -t wasm -e routing/decision`);
  const json = (name: string): unknown => {
    const text = files.get(name);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text.toString('utf8'));
    } catch (error) {
      throw new BundleError(`${source}: ${name} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  const data = json('data.json') ?? {};
  const manifest = json('.manifest');
  const digest = createHash('sha256').update(wasm).update(JSON.stringify(data)).digest('hex');
  const revision = typeof manifest === 'object' && manifest !== null && 'revision' in manifest ? String(manifest.revision) : '';
  return { source, wasm, data, digest, revision: revision === '' ? digest.slice(0, 12) : revision };
}

/** Reads a bundle archive (tar, gzipped). @throws BundleError */
export async function bundleFromArchive(bytes: Uint8Array, source: string): Promise<Bundle> {
  let plain: Buffer;
  try {
    plain = gunzipSync(bytes, { maxOutputLength: MAX_BYTES });
  } catch (error) {
    throw new BundleError(
      `${source}: not a gzipped bundle of at most ${MAX_BYTES} bytes: ${error instanceof Error ? error.message : String(error)}`,
    );
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
    throw new BundleError(`${source}: broken archive: ${error instanceof Error ? error.message : String(error)}`);
  }
  return assemble(source, files);
}

/** Reads a bundle from a directory (policy.wasm, data.json, .manifest) or an archive. @throws BundleError */
export async function loadBundle(path: string): Promise<Bundle> {
  if (!existsSync(path)) throw new BundleError(`${path}: no such bundle`);
  if (!statSync(path).isDirectory()) {
    if (statSync(path).size > MAX_BYTES) throw new BundleError(`${path}: larger than ${MAX_BYTES} bytes`);
    return bundleFromArchive(readFileSync(path), path);
  }
  const files = new Map<string, Buffer>();
  for (const name of ['policy.wasm', 'data.json', '.manifest']) {
    const file = join(path, name);
    if (!existsSync(file)) continue;
    if (statSync(file).size > MAX_BYTES) throw new BundleError(`${file}: larger than ${MAX_BYTES} bytes`);
    files.set(name, readFileSync(file));
  }
  return assemble(path, files);
}
