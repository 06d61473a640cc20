import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { JsonObject } from '../core/json.ts';
import type { Modules } from '../rego/source.ts';

/** Modules and data in a temporary folder, as a bundle that `opa` reads. Dispose to remove it. */
export async function stageFiles(modules: Modules, data: JsonObject): Promise<{ readonly dir: string } & AsyncDisposable> {
  const dir = await mkdtemp(join(tmpdir(), 'mixgate-rego-'));
  const made = new Set<string>();
  for (const [path, text] of modules) {
    const target = join(dir, path);
    if (!made.has(dirname(target))) await mkdir(dirname(target), { recursive: true });
    made.add(dirname(target));
    await writeFile(target, text);
  }
  await writeFile(join(dir, 'data.json'), JSON.stringify(data));
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}
