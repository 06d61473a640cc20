import { decodeText } from '../config/document.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import type { FileTree } from '../core/gate-context.ts';
import { compareText } from '../core/text.ts';
import { glob } from '../workspace/tree.ts';
import { lintObjectives } from './lint.ts';
import type { Objective } from './model.ts';
import { parseOpenslo } from './openslo.ts';
import type { Preset } from './presets.ts';
import { resolveObjectives } from './resolve.ts';

export interface LoadedSlos {
  readonly objectives: readonly Objective[];
  /** Lint findings, in a stable order. */
  readonly findings: readonly Finding[];
  readonly files: readonly { readonly file: string; readonly text: string }[];
}

/** Objectives of OpenSLO texts, with their lints. @throws ConfigurationError for files that don't parse */
export function loadSlos(files: readonly { readonly file: string; readonly text: string }[], preset?: Preset): LoadedSlos {
  const { set, findings } = parseOpenslo(files);
  const resolved = resolveObjectives(set, preset);
  const objectives = [...resolved.objectives].sort((a, b) => compareText(a.id, b.id));
  // Indicators and policies are shared: what is wrong with one is said once a place.
  const all = [...findings, ...resolved.findings, ...lintObjectives(objectives)];
  return { objectives, findings: [...new Map(all.map((f) => [`${f.id}:${f.location?.line ?? 0}`, f])).values()], files };
}

/** The files that the patterns of mixgate.yaml name, in one side of a change. */
export async function readSloFiles(
  tree: FileTree,
  patterns: readonly string[],
): Promise<readonly { file: string; text: string }[]> {
  const paths = (await glob(tree, patterns)).filter((path) => /\.ya?ml$/.test(path));
  if (paths.length === 0)
    throw new ConfigurationError({
      message: `no file${tree.name === '.' ? '' : ` of ${tree.name}`} matches slo.files (${patterns.join(', ')}).`,
      fix: 'correct the pattern, or add OpenSLO files.',
    });
  const contents = await tree.readMany(paths);
  return paths.map((file) => ({ file, text: decodeText(contents.get(file) ?? new Uint8Array(), file) }));
}
