import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { objectName } from '../../src/kubernetes/object.ts';
import { renderFolder } from '../../src/kubernetes/render.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { folderTree, type Tree } from '../../src/workspace/tree.ts';

const dirs: string[] = [];
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

function tree(files: { readonly [path: string]: string | Uint8Array }): Tree {
  const dir = mkdtempSync(join(tmpdir(), 'mixgate-kustomize-'));
  dirs.push(dir);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), content);
  }
  return folderTree(dir);
}

const context = { tool: (name: string) => resolveTool(name), signal: new AbortController().signal };
const MAP = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: "1"\n';
const base = { 'base/kustomization.yaml': 'resources: [a.yaml]\n', 'base/a.yaml': MAP };

describe('renderFolder, with the real kustomize', () => {
  it('renders an overlay and finds the line that gives a field its value: patch first, then base', async () => {
    const [object] = await renderFolder(
      tree({
        ...base,
        'over/kustomization.yaml':
          'namespace: llm\nnamePrefix: eu-\nresources: [../base]\npatches:\n  - path: p.yaml\n  - target: {kind: ConfigMap, name: a}\n    patch: |-\n      - op: add\n        path: /data/z\n        value: "3"\n',
        'over/p.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  y: "2"\n',
      }),
      'over',
      context,
    );
    expect(objectName(object!)).toBe('ConfigMap/llm/eu-a');
    expect(object!.value['data']).toEqual({ x: '1', y: '2', z: '3' });
    expect(object!.locate(['data', 'y'])).toMatchObject({ file: 'over/p.yaml', line: 6 });
    expect(object!.locate(['data', 'x'])).toMatchObject({ file: 'base/a.yaml', line: 6 });
    expect(object!.locate(['data', 'z'])).toMatchObject({ file: 'over/kustomization.yaml', line: 6 });
  });

  it('reads a folder without a kustomization as plain manifests', async () => {
    const objects = await renderFolder(
      tree({
        'm/a.yaml': MAP,
        'm/sub/b.json':
          '{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"}}]}',
      }),
      'm',
      context,
    );
    expect(objects.map(objectName)).toEqual(['ConfigMap/a', 'Service/s']);
  });

  it.each<[string, { readonly [path: string]: string | Uint8Array }, RegExp]>([
    [
      'a cycle',
      { 'over/kustomization.yaml': 'resources: [../b]\n', 'b/kustomization.yaml': 'resources: [../over]\n' },
      /b\/kustomization\.yaml: the kustomization includes itself: over -> b -> over/,
    ],
    ['itself', { 'over/kustomization.yaml': 'resources: [.]\n', 'over/a.yaml': MAP }, /includes itself/],
    [
      'a remote base',
      { 'over/kustomization.yaml': 'resources:\n  - https://github.com/o/r//base?ref=main\n' },
      /over\/kustomization\.yaml:2:5: the remote base .* is refused/,
    ],
    [
      'a remote base without a scheme',
      { 'over/kustomization.yaml': 'resources: [github.com/o/r]\n' },
      /remote base .* is refused/,
    ],
    ['a remote base by ssh', { 'over/kustomization.yaml': 'resources: ["git@host:o/r.git"]\n' }, /remote base .* is refused/],
    ['a remote component', { 'over/kustomization.yaml': 'components: ["https://example.com/x"]\n' }, /remote base .* is refused/],
    [
      'a missing file, and every one of them',
      { 'over/kustomization.yaml': 'resources: [x.yaml]\npatches:\n  - path: y.yaml\n' },
      /"x\.yaml" does not exist[\s\S]*:3:11: "y\.yaml" does not exist/,
    ],
    [
      'a path out of the repository',
      { 'over/kustomization.yaml': 'resources: [../../etc/passwd]\n' },
      /leads out of the repository/,
    ],
    ['an absolute path', { 'over/kustomization.yaml': 'resources: [/etc/passwd]\n' }, /leads out of the repository/],
    [
      'Helm charts',
      { 'over/kustomization.yaml': 'helmCharts: [{name: x, repo: "https://e.x"}]\n' },
      /`helmCharts` inflates Helm charts/,
    ],
    ['generator plugins', { 'over/kustomization.yaml': 'generators: [g.yaml]\n' }, /`generators` runs generator plugins/],
    [
      'a folder without a kustomization as a base',
      { 'over/kustomization.yaml': 'resources: [../b]\n', 'b/a.yaml': MAP },
      /b has no kustomization\.yaml/,
    ],
    [
      'bad YAML in a base, with its line',
      { ...base, 'base/a.yaml': 'a: [1\nb: 2\n', 'over/kustomization.yaml': 'resources: [../base]\n' },
      /base\/a\.yaml:\d+:\d+: not valid YAML/,
    ],
    [
      'a binary file',
      { ...base, 'base/a.yaml': Uint8Array.of(0, 1, 2), 'over/kustomization.yaml': 'resources: [../base]\n' },
      /base\/a\.yaml: the file is binary/,
    ],
    ['a kustomization that is no mapping', { 'over/kustomization.yaml': '- 1\n' }, /is not a mapping/],
    [
      'a patch without a target',
      {
        ...base,
        'over/kustomization.yaml': 'resources: [../base]\npatches:\n  - path: p.yaml\n',
        'over/p.yaml': MAP.replace('name: a', 'name: nobody'),
      },
      /kustomize cannot render the overlay: .*no matches/,
    ],
    [
      'an object without a name',
      { 'over/a.yaml': 'apiVersion: v1\nkind: ConfigMap\n' },
      /over\/a\.yaml:1:1: this object has no metadata\.name/,
    ],
    ['a document that is no object', { 'over/a.yaml': '"text"\n' }, /not a Kubernetes object/],
    ['a folder that is not there', { 'x/a.yaml': MAP }, /there are no manifests/],
  ])('refuses %s', async (_name, files, message) => {
    await expect(renderFolder(tree(files), 'over', context)).rejects.toThrow(message);
  });

  it('refuses a file larger than a manifest can be', async () => {
    await expect(renderFolder(tree({ 'm/a.yaml': `# ${'x'.repeat(33 * 1024 * 1024)}\n` }), 'm', context)).rejects.toThrow(
      /m\/a\.yaml: the file is \d+ bytes/,
    );
  });
});
