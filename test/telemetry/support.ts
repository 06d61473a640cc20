import type { Finding } from '../../src/core/finding.ts';
import type { FileTree } from '../../src/core/gate-context.ts';
import type { Registry } from '../../src/telemetry/model.ts';
import { loadRegistries } from '../../src/telemetry/registry/load.ts';

/** Files in memory as a tree. */
export function memoryTree(files: { readonly [path: string]: string | Uint8Array }, name = 'memory'): FileTree {
  const bytes = new Map(Object.entries(files).map(([path, content]) => [path, Buffer.from(content)]));
  const below = (prefix: string) => (path: string) => prefix === '' || path === prefix || path.startsWith(`${prefix}/`);
  return {
    name,
    commit: undefined,
    list: async (prefix = '') => [...bytes.keys()].filter(below(prefix)).sort(),
    read: async (path) => bytes.get(path),
    readMany: async (paths) => new Map(paths.flatMap((path) => (bytes.has(path) ? [[path, bytes.get(path)!] as const] : []))),
  };
}

export async function load(
  files: { readonly [path: string]: string | Uint8Array },
  owned = true,
): Promise<{ registry: Registry; findings: readonly Finding[] }> {
  return loadRegistries(memoryTree(files), [{ path: '', owned }]);
}

/** `rule file:line message` of each finding, for whole-finding assertions. */
export function lines(findings: readonly Finding[]): string[] {
  return findings.map(
    (finding) => `${finding.level} ${finding.ruleId} ${finding.location?.file ?? '-'}:${finding.location?.line ?? '-'}`,
  );
}

export const ATTRIBUTES = `groups:
  - id: registry.x
    type: attribute_group
    brief: Attributes.
    attributes:
      - id: app.color
        stability: development
        brief: A colour.
        type:
          members:
            - {id: red, value: red}
            - {id: green, value: green}
      - id: app.size
        type: int
        stability: development
        brief: A size.
      - id: app.place
        type: string
        stability: development
        brief: A place.
`;

/** A registry with one metric, whose lines can be replaced. */
export function metricFile(
  fields: {
    name?: string;
    instrument?: string;
    unit?: string;
    brief?: string;
    stability?: string;
    attributes?: string;
    extra?: string;
  } = {},
): string {
  const name = fields.name ?? 'app.request.duration';
  return `${ATTRIBUTES}
  - id: metric.${name}
    type: metric
    metric_name: ${name}
    instrument: ${fields.instrument ?? 'histogram'}
    unit: "${fields.unit ?? 's'}"
    brief: ${fields.brief ?? 'Time that a request takes.'}
    stability: ${fields.stability ?? 'development'}
${fields.extra ?? ''}    attributes:
${fields.attributes ?? '      - ref: app.color\n        requirement_level: required\n'}`;
}
