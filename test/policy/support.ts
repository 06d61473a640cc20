import { afterAll } from 'vitest';
import { parseYaml } from '../../src/config/document.ts';
import type { RunContext } from '../../src/core/context.ts';
import { silentProgress } from '../../src/core/context.ts';
import type { Finding } from '../../src/core/finding.ts';
import type { FileTree } from '../../src/core/gate-context.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { openWorkbench, type Workbench } from '../../src/policy/operations.ts';
import { prepareSide, type Side } from '../../src/policy/side.ts';
import { loadPolicySource, type PolicySource } from '../../src/rego/source.ts';
import { resolveTool } from '../../src/tools/resolve.ts';

export const signal = new AbortController().signal;
export const run: RunContext = { seed: 1, now: '2026-01-01T00:00:00Z', progress: silentProgress, signal };

/** The real opa; fails loudly when it is missing. */
export function opaTool(): ReturnType<typeof resolveTool> {
  return resolveTool('opa', { install: false });
}

/** A workbench for the tests of a file, with short limits for hostile policies. */
export async function testBench(limitMs = 5000): Promise<Workbench> {
  const bench = openWorkbench(await opaTool(), run, limitMs);
  afterAll(() => bench[Symbol.asyncDispose]());
  return bench;
}

/** A tree of files in memory. */
export function memoryTree(files: { readonly [path: string]: string | Uint8Array }, name = 'head'): FileTree {
  const all = new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)]));
  return {
    name,
    commit: undefined,
    list: async (prefix = '') =>
      [...all.keys()].filter((path) => prefix === '' || path === prefix || path.startsWith(`${prefix}/`)).sort(),
    read: async (path) => all.get(path),
    readMany: async (paths) => new Map(paths.flatMap((path) => (all.has(path) ? [[path, all.get(path)!] as const] : []))),
  };
}

/** A policy of one or more modules at the root of a tree. */
export function policy(files: { readonly [path: string]: string } | string, data: JsonObject = {}): Promise<PolicySource> {
  const modules = typeof files === 'string' ? { 'p.rego': files } : files;
  return loadPolicySource(memoryTree({ ...modules, 'data.json': JSON.stringify(data) }), { roots: [''] });
}

export async function side(bench: Workbench, source: PolicySource, entrypoint = 'p/decision'): Promise<Side> {
  const prepared = await prepareSide(bench.opa, bench.pool, source, [entrypoint]);
  if (prepared.side === undefined) throw new Error(prepared.findings.map((f) => `${f.location?.line}: ${f.message}`).join('\n'));
  return prepared.side;
}

export function domainDocument(value: unknown): ReturnType<typeof parseYaml> {
  return parseYaml(JSON.stringify(value), 'domain.yaml');
}

/** `rule-id file:line`, what most tests look at. */
export function shown(findings: readonly Finding[]): string[] {
  return findings.map((f) => `${f.ruleId} ${f.location?.file ?? ''}:${f.location?.line ?? ''}`).sort();
}
