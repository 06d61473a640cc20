import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Where the script of a thread or a process of its own lies. The bundle (scripts/build.ts) keeps `NAME.js` at its top and this code perhaps
 * in a chunk below; from source it is `source`.
 */
export function entryUrl(name: string, source: URL): URL {
  const bundled = [`./${name}.js`, `../${name}.js`].map((path) => new URL(path, import.meta.url));
  return bundled.find((url) => existsSync(fileURLToPath(url))) ?? source;
}
