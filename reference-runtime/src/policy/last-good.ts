// The last good bundle on disk: what is served when every source is gone, after a restart too.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bundle, BundleError, loadBundle } from './bundle.ts';

const FOLDER = 'last-good';
/** What `keep` is about to replace: all that is there when a process ends between two renames. */
const BEFORE = 'last-good.before';
const ABOUT = 'about.json';

/** A kept bundle, and when a source last said that it is the current one. */
export interface Kept {
  bundle: Bundle;
  confirmedAt: Date;
}

/**
 * Writes beside, then renames: a crash leaves the old bundle or the new one. `written` is what this process kept last: of the same
 * bundle only the time is written again, whatever the bundle's size.
 */
export function keep(folder: string, kept: Kept, written?: Bundle): void {
  const target = join(folder, FOLDER);
  const next = join(folder, `${FOLDER}.${process.pid}`);
  const { bundle } = kept;
  if (written === bundle && existsSync(join(target, ABOUT))) {
    writeFileSync(next, about(kept));
    renameSync(next, join(target, ABOUT));
    return;
  }
  rmSync(next, { recursive: true, force: true });
  mkdirSync(next, { recursive: true });
  writeFileSync(join(next, 'policy.wasm'), bundle.wasm);
  writeFileSync(join(next, 'data.json'), JSON.stringify(bundle.data));
  writeFileSync(join(next, '.manifest'), JSON.stringify({ revision: bundle.revision }));
  writeFileSync(join(next, ABOUT), about(kept));
  const before = join(folder, BEFORE);
  if (existsSync(target)) {
    rmSync(before, { recursive: true, force: true });
    renameSync(target, before);
  }
  renameSync(next, target);
  rmSync(before, { recursive: true, force: true });
}

function about({ bundle, confirmedAt }: Kept): string {
  return JSON.stringify({ source: bundle.source, digest: bundle.digest, confirmed_at: confirmedAt.toISOString() });
}

/** What `keep` wrote; undefined when nothing is kept. @throws BundleError when it is not what was written */
export async function recall(folder: string): Promise<Kept | undefined> {
  const path = [FOLDER, BEFORE].map((name) => join(folder, name)).find((each) => existsSync(join(each, ABOUT)));
  if (path === undefined) return undefined;
  const bundle = await loadBundle(path);
  let written: { digest?: unknown; confirmed_at?: unknown; source?: unknown };
  try {
    written = JSON.parse(readFileSync(join(path, ABOUT), 'utf8')) as typeof written;
  } catch {
    throw new BundleError(`${path}: ${ABOUT} is not JSON`);
  }
  if (written.digest !== bundle.digest) throw new BundleError(`${path}: the kept bundle was altered`);
  const confirmedAt = new Date(String(written.confirmed_at));
  if (Number.isNaN(confirmedAt.getTime())) throw new BundleError(`${path}: ${ABOUT} has no time`);
  return { bundle: { ...bundle, source: `${String(written.source)} (kept on disk)` }, confirmedAt };
}
