import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where tools are kept, outside any repository. MIXGATE_CACHE overrides; on a GitHub runner its tool cache is used. */
export function cacheRoot(env: NodeJS.ProcessEnv = process.env): string {
  if (env['MIXGATE_CACHE']) return env['MIXGATE_CACHE'];
  if (env['RUNNER_TOOL_CACHE']) return join(env['RUNNER_TOOL_CACHE'], 'mixgate');
  if (process.platform === 'darwin') return join(homedir(), 'Library/Caches/mixgate');
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'mixgate');
}

export function toolPath(name: string, version: string, env: NodeJS.ProcessEnv = process.env): string {
  return join(
    cacheRoot(env),
    'tools',
    name,
    version,
    `${process.platform}-${process.arch}`,
    process.platform === 'win32' ? `${name}.exe` : name,
  );
}
