import { decodeText, parseYaml } from '../../config/document.ts';
import { MixgateError } from '../../core/errors.ts';
import type { Finding } from '../../core/finding.ts';
import type { FileTree } from '../../core/gate-context.ts';
import { sha256 } from '../../core/json.ts';
import type { Registry } from '../model.ts';
import { telemetryFinding } from '../rules.ts';
import { MAX_REGISTRY_FINDINGS } from './fields.ts';
import { parseRegistryFile } from './parse.ts';
import type { RawGroup } from './raw.ts';
import { resolveRegistry } from './resolve.ts';

/** One registry file may be this large; the largest of the semantic conventions is 60 kB. */
const MAX_REGISTRY_BYTES = 4 * 1024 * 1024;
const MAX_REGISTRY_FILES = 2000;

export interface RegistrySource {
  /** A folder (or one file) in the tree. */
  readonly path: string;
  readonly owned?: boolean;
}

export interface LoadedRegistry {
  readonly registry: Registry;
  readonly findings: readonly Finding[];
  readonly files: readonly string[];
  /** SHA-256 over names and bytes of every file, for the evidence. */
  readonly digest: string;
}

/** Reads and resolves a list of registries; whatever is wrong with them is a finding with file and line, never an exception. */
export async function loadRegistries(tree: FileTree, sources: readonly RegistrySource[]): Promise<LoadedRegistry> {
  const findings: Finding[] = [];
  const groups: RawGroup[] = [];
  const hashes: string[] = [];
  const seen = new Set<string>();
  for (const source of sources) {
    const all = (await tree.list(source.path)).filter(
      (path) => /\.ya?ml$/.test(path) && !/(?:^|\/)(?:registry_)?manifest\.ya?ml$/.test(path) && !seen.has(path),
    );
    if (all.length === 0) {
      findings.push(
        telemetryFinding('telemetry-registry-unreadable', {
          message: `There is no YAML file in the registry folder ${[tree.name, source.path].filter((part) => part !== '' && part !== '.').join('/') || '.'}.`,
          location: { file: source.path },
          subject: source.path,
          fix: 'Correct `telemetry.registries[].path`, or add the files.',
        }),
      );
    }
    const paths = all.slice(0, MAX_REGISTRY_FILES);
    if (paths.length < all.length)
      findings.push(
        telemetryFinding('telemetry-registry-unreadable', {
          message: `The registry ${source.path} has ${all.length} files. Expected at most ${MAX_REGISTRY_FILES}.`,
          location: { file: source.path },
        }),
      );
    const contents = await tree.readMany(paths);
    for (const path of paths) {
      seen.add(path);
      const bytes = contents.get(path);
      if (bytes === undefined) continue;
      hashes.push(`${path} ${sha256(bytes)}`);
      groups.push(...readFile(path, bytes, source.owned ?? true, findings));
    }
  }
  const registry = resolveRegistry(groups, findings);
  if (findings.length >= MAX_REGISTRY_FINDINGS) {
    findings.push(
      telemetryFinding('telemetry-registry-unreadable', {
        message: `The registries have ${MAX_REGISTRY_FINDINGS} problems or more; the rest is not listed.`,
        subject: 'registries',
      }),
    );
  }
  return {
    registry,
    findings,
    files: [...seen].sort(),
    digest: sha256(hashes.sort().join('\n')),
  };
}

function readFile(path: string, bytes: Buffer, owned: boolean, findings: Finding[]): RawGroup[] {
  try {
    return parseRegistryFile(parseYaml(decodeText(bytes, path, MAX_REGISTRY_BYTES), path), owned, findings);
  } catch (error) {
    if (!(error instanceof MixgateError)) throw error;
    for (const problem of error.problems) {
      findings.push(
        telemetryFinding('telemetry-registry-unreadable', {
          message: `The registry file cannot be read: ${problem.message}${problem.expected === undefined ? '' : ` Expected ${problem.expected}.`}`,
          location: problem.location ?? { file: path },
          subject: path,
          ...(problem.fix === undefined ? {} : { fix: problem.fix }),
        }),
      );
    }
    return [];
  }
}
