// Memory in use in this process's control group: what a container has taken of its limit (Linux, Documentation/admin-guide/cgroup-v2.rst and
// cgroup-v1/memory.rst).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** The controller's folder and its names in each version; in a container the group's own folder is often mounted as the root. */
function places(cgroup: string, root: string): Array<{ folder: string; usage: string; prefix: string }> {
  const path = (pattern: RegExp): string => pattern.exec(cgroup)?.[1] ?? '/';
  const unified = { usage: 'memory.current', prefix: '' };
  const legacy = { usage: 'memory.usage_in_bytes', prefix: 'total_' };
  return [
    { folder: join(root, path(/^0::(.*)$/m)), ...unified },
    { folder: join(root, 'memory', path(/^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m)), ...legacy },
    { folder: root, ...unified },
    { folder: join(root, 'memory'), ...legacy },
  ];
}

/**
 * Bytes that the group holds and the kernel could not take back: without the page cache, which mapped weights are part of. 0 where no memory
 * controller can be read.
 * @param cgroup the text of /proc/self/cgroup @param root where the controllers are mounted
 */
export function cgroupUsage(cgroup: string = read('/proc/self/cgroup') ?? '', root = '/sys/fs/cgroup'): number {
  for (const { folder, usage, prefix } of places(cgroup, root)) {
    const used = read(join(folder, usage));
    const stat = read(join(folder, 'memory.stat'));
    if (used === undefined || stat === undefined) continue;
    const bytes = (name: string): number => Number(new RegExp(`^${prefix}${name} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
    return Math.max(0, Number(used) - bytes('inactive_file') - bytes('active_file'));
  }
  return 0;
}
