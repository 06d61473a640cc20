import { randomBytes } from 'node:crypto';
import { basename, resolve } from 'node:path';
import { buildReport, type Report } from '../../core/report.ts';
import { folderTree } from '../../workspace/tree.ts';
import type { CommandSpec, Invocation } from '../framework.ts';
import { provenanceOf, toolBox } from '../provenance.ts';
import { objectsAt, onDisk, shown } from './manifests.ts';

export const compareCommand: CommandSpec = {
  name: 'compare',
  summary: 'compare two sets of manifests: what differs for traffic, policy and models',
  positionals: 'LEFT RIGHT',
  minPositionals: 2,
  maxPositionals: 2,
  details: `Each side is a YAML or JSON file (a manifest, a stream, a List as kubectl prints it) or a folder of them; a folder with a
kustomization is rendered. What API servers add (defaults, status, managedFields, metadata) is no difference; route
weights are compared as shares of traffic. LEFT is what should be.`,
  options: {
    crd: {
      type: 'string',
      value: 'FILE',
      multiple: true,
      description: 'CustomResourceDefinition whose defaults are applied; repeatable',
    },
  },
  examples: [
    { command: 'mixgate drift compare clusters/us-east live/us-east.yaml', does: 'an overlay against a snapshot' },
    { command: 'mixgate drift compare live/us-east.yaml live/eu-west.yaml --format json', does: 'two clusters, as JSON' },
  ],
  run: async (invocation) => ({ report: await runCompare(invocation) }),
};

async function runCompare(invocation: Invocation): Promise<Report> {
  const [left, right] = invocation.positionals as [string, string];
  const tools = toolBox(invocation);
  const context = { signal: invocation.signal, tool: tools.tool };
  const { compareSets } = await import('../../drift/compare.ts');
  const { loadDefaults } = await import('../../kubernetes/crds.ts');
  const { normalise } = await import('../../kubernetes/normalise.ts');
  const defaults = await loadDefaults(folderTree(invocation.dir), []);
  const merged = new Map(defaults);
  for (const crd of invocation.options.strings('crd')) {
    const place = await onDisk(invocation.dir, crd);
    for (const [key, node] of await loadDefaults(place.tree, [place.path])) if (node !== defaults.get(key)) merged.set(key, node);
  }
  const maskKey = randomBytes(32);
  const names = shortNames(left, right);
  const load = async (path: string, name: string): Promise<{ name: string; objects: ReturnType<typeof normalise>[] }> => {
    const place = await onDisk(invocation.dir, path);
    return {
      name,
      objects: (await objectsAt(place, context)).map((object) =>
        normalise({ ...object, locate: (at) => shown(place, object.locate(at)) }, { defaults: merged, maskKey }),
      ),
    };
  };
  const result = compareSets(await load(left, names[0]), await load(right, names[1]), new Set(['traffic', 'safety']));
  return buildReport([result], provenanceOf(invocation, { tools: tools.versions() }));
}

/** File names where they differ, else the paths as they were typed. */
function shortNames(left: string, right: string): readonly [string, string] {
  const [a, b] = [basename(resolve('/', left)), basename(resolve('/', right))];
  return a === b || a === '' || b === '' ? [left, right] : [a, b];
}
