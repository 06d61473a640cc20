// What a container has taken of its limit, out of the files of both versions of control groups.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cgroupUsage } from '../src/gguf/cgroup.ts';
import { temporary } from './support/models.ts';

const dir = temporary();
afterAll(dir.remove);

/** A folder with these files; returns it. */
function mounted(name: string, files: Record<string, string>): string {
  const root = dir.file(name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const V2 = 'anon 700\nfile 300\ninactive_anon 1\nactive_anon 699\ninactive_file 200\nactive_file 80\nunevictable 0\n';
const V1 = `cache 9\ninactive_file 5\nactive_file 5\ntotal_cache 300\ntotal_inactive_file 200\ntotal_active_file 80\n`;

describe('memory in use in a control group', () => {
  it.each<[string, string, Record<string, string>, number]>([
    ['version 2', '0::/pod/a\n', { 'pod/a/memory.current': '1000\n', 'pod/a/memory.stat': V2, 'memory.stat': V2 }, 720],
    ['version 2, its own folder as the root', '0::/../a\n', { 'memory.current': '1000\n', 'memory.stat': V2 }, 720],
    [
      'version 1',
      '9:name=systemd:/\n4:cpu,memory:/pod/a\n0::/\n',
      { 'memory/pod/a/memory.usage_in_bytes': '1000\n', 'memory/pod/a/memory.stat': V1 },
      720,
    ],
    [
      'version 1, its own folder as the root',
      '4:memory:/docker/0123\n0::/\n',
      { 'memory/memory.usage_in_bytes': '1000\n', 'memory/memory.stat': V1 },
      720,
    ],
    ['cache that was counted later than the usage', '0::/\n', { 'memory.current': '100\n', 'memory.stat': V2 }, 0],
    ['no controller of memory', '0::/\n', { 'cpu.stat': '' }, 0],
    ['no control groups', '', {}, 0],
  ])('%s', (name, cgroup, files, bytes) => {
    expect(cgroupUsage(cgroup, mounted(name, files))).toBe(bytes);
  });
});
