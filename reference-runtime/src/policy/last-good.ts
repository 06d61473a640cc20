// The last good bundle on disk: what is served when every source is gone, after a restart too.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bundle, BundleError, loadBundle } from './bundle.ts';

const FOLDER = 'last-good';
const ABOUT = 'about.json';

/** A kept bundle, and when a source last said that it is the current one. */
export interface Kept {
  bundle: Bundle;
  confirmedAt: Date;
}

/** Writes beside, then renames: a crash leaves the old bundle or the new one. */
export function keep(folder: string, { bundle, confirmedAt }: Kept): void {
  const target = join(folder, FOLDER);
  const next = join(folder, `${FOLDER}.${process.pid}`);
  rmSync(next, { recursive: true, force: true });
  mkdirSync(next, { recursive: true });
  writeFileSync(join(next, 'policy.wasm'), bundle.wasm);
  writeFileSync(join(next, 'data.json'), JSON.stringify(bundle.data));
  writeFileSync(join(next, '.manifest'), JSON.stringify({ revision: bundle.revision }));
  writeFileSync(
    join(next, ABOUT),
    JSON.stringify({ source: bundle.source, digest: bundle.digest, confirmed_at: confirmedAt.toISOString() }),
  );
  rmSync(target, { recursive: true, force: true });
  renameSync(next, target);
}

/** What `keep` wrote; undefined when nothing is kept. @throws BundleError when it is not what was written */
export async function recall(folder: string): Promise<Kept | undefined> {
  const path = join(folder, FOLDER);
  if (!existsSync(join(path, ABOUT))) return undefined;
  const bundle = await loadBundle(path);
  let about: { digest?: unknown; confirmed_at?: unknown; source?: unknown };
  try {
    about = JSON.parse(readFileSync(join(path, ABOUT), 'utf8')) as typeof about;
  } catch {
    throw new BundleError(`${path}: ${ABOUT} is not JSON`);
  }
  if (about.digest !== bundle.digest) throw new BundleError(`${path}: the kept bundle was altered`);
  const confirmedAt = new Date(String(about.confirmed_at));
  if (Number.isNaN(confirmedAt.getTime())) throw new BundleError(`${path}: ${ABOUT} has no time`);
  return { bundle: { ...bundle, source: `${String(about.source)} (kept on disk)` }, confirmedAt };
}
