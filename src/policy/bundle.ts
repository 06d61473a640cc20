import { gunzipSync } from 'node:zlib';
import { ExternalError } from '../core/errors.ts';

const MAX_BUNDLE_BYTES = 256 * 1024 * 1024;

/**
 * One member of the gzip tar that `opa build` writes (ustar, names with a leading slash).
 * @throws ExternalError when the member is not in it
 */
export function untarMember(archive: Uint8Array, name: string): Uint8Array<ArrayBuffer> {
  const tar = gunzipSync(archive, { maxOutputLength: MAX_BUNDLE_BYTES });
  for (let offset = 0; offset + 512 <= tar.length; ) {
    const member = tar.toString('utf8', offset, offset + 100).replace(/\0[\s\S]*$/, '');
    if (member === '') break;
    const size = Number.parseInt(tar.toString('latin1', offset + 124, offset + 136), 8);
    if (!Number.isSafeInteger(size)) break;
    if (member.replace(/^\/+/, '') === name) {
      const bytes = new Uint8Array(size);
      bytes.set(tar.subarray(offset + 512, offset + 512 + size));
      return bytes;
    }
    offset += 512 + Math.ceil(size / 512) * 512;
  }
  throw new ExternalError(`opa build wrote a bundle without ${name}.`);
}
