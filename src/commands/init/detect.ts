import { posix } from 'node:path';
import type { FileTree } from '../../core/gate-context.ts';
import { compareText } from '../../core/text.ts';

/** What mixgate can read in a repository, by the looks of its files. Absent: nothing was found. */
export interface Found {
  readonly telemetry?: {
    readonly registries: readonly string[];
    readonly events?: string;
    readonly samples: readonly string[];
  };
  readonly policy?: {
    readonly root: string;
    readonly entrypoint: string;
    readonly domain?: string;
    readonly invariants?: string;
    readonly corpus?: string;
  };
  readonly catalog?: { readonly models: readonly string[]; readonly pools?: string; readonly flags?: string };
  /** Their regions and jurisdictions are nowhere in the files. */
  readonly clusters: readonly { readonly name: string; readonly overlay: string; readonly snapshot?: string }[];
  /** Files or patterns. */
  readonly slo: readonly string[];
  readonly canaryProfile?: string;
}

/** The first part of a file tells what it is. */
const LOOK_AT = 64 * 1024;
/** A folder of ten thousand samples needs no look at each. */
const MAX_FILES = 2_000;

interface File {
  readonly path: string;
  readonly text: string;
}

/** Looks at the files of a repository; guesses, which the user then reads in mixgate.yaml. */
export async function detect(tree: FileTree): Promise<Found> {
  const paths = await tree.list();
  const read = async (pattern: RegExp): Promise<readonly File[]> => {
    const bytes = await tree.readMany(paths.filter((path) => pattern.test(path)).slice(0, MAX_FILES));
    return [...bytes].map(([path, buffer]) => ({ path, text: buffer.subarray(0, LOOK_AT).toString('utf8') }));
  };
  const yaml = await read(/\.ya?ml$/i);
  const rego = await read(/\.rego$/);
  const json = await read(/(?:^|\/)(?:samples|events|otlp|schemas)\/.*\.json$/i);
  const lines = await read(/\.(?:ndjson|jsonl)$/i);
  const telemetry = telemetryOf(yaml, json);
  const policy = policyOf(rego, yaml, lines);
  const catalog = catalogOf(yaml);
  const canaryProfile = shortest(yaml.filter((f) => /(?:^|\/)canary\//.test(f.path) && has(f, 'metrics') && has(f, 'version')));
  return {
    ...(telemetry === undefined ? {} : { telemetry }),
    ...(policy === undefined ? {} : { policy }),
    ...(catalog === undefined ? {} : { catalog }),
    clusters: clustersOf(yaml, paths),
    slo: patternsOf(
      yaml.filter((f) => /^apiVersion:\s*["']?openslo\/v1\b/m.test(f.text)),
      yaml,
    ),
    ...(canaryProfile === undefined ? {} : { canaryProfile }),
  };
}

function telemetryOf(yaml: readonly File[], json: readonly File[]): Found['telemetry'] {
  // Prometheus rule files have `groups` too, but their groups have names where a registry's have ids.
  const registry = yaml.filter(
    (f) => /^file_format:\s*["']?definition\/2/m.test(f.text) || (has(f, 'groups') && /^\s*- id:/m.test(f.text)),
  );
  if (registry.length === 0) return undefined;
  const events = outermost(json.filter((f) => /(?:^|\/)events\//.test(f.path) && f.text.includes('"$schema"')));
  const samples = json.filter((f) => /"resource(?:Metrics|Spans|Logs)"/.test(f.text));
  return {
    registries: outermost(registry),
    ...(events[0] === undefined ? {} : { events: events[0] }),
    samples: patternsOf(samples, json),
  };
}

function policyOf(rego: readonly File[], yaml: readonly File[], lines: readonly File[]): Found['policy'] {
  const modules = rego
    .filter((f) => !f.path.endsWith('_test.rego'))
    .map((f) => ({ ...f, package: /^package\s+(?<name>[\w.]+)/m.exec(f.text)?.groups?.['name'] ?? '' }));
  const isInvariant = (name: string): boolean => name === 'invariants' || name.startsWith('invariants.');
  const candidates = modules.flatMap((f) => {
    const rule = ['decision', 'allow'].find((name) => new RegExp(`^(?:default\\s+)?${name}\\b`, 'm').test(f.text));
    return f.package === '' || rule === undefined || isInvariant(f.package) ? [] : [{ path: f.path, package: f.package, rule }];
  });
  // A routing policy before any other, a decision before a bare allow.
  const rank = (c: (typeof candidates)[number]): number =>
    (/\brouting\b/.test(c.package) ? 0 : 2) + (c.rule === 'decision' ? 0 : 1);
  const [best] = candidates.sort((a, b) => rank(a) - rank(b) || (a.path < b.path ? -1 : 1));
  if (best === undefined) return undefined;
  const domain = shortest(yaml.filter((f) => has(f, 'base') && has(f, 'vary')));
  const invariants = outermost(modules.filter((f) => isInvariant(f.package)));
  const corpus = shortest(lines.filter((f) => f.text.split('\n', 1)[0]!.includes('"input"')));
  return {
    root: folderOf(best.path),
    entrypoint: `${best.package.replaceAll('.', '/')}/${best.rule}`,
    ...(domain === undefined ? {} : { domain }),
    ...(invariants[0] === undefined ? {} : { invariants: invariants[0] }),
    ...(corpus === undefined ? {} : { corpus }),
  };
}

function catalogOf(yaml: readonly File[]): Found['catalog'] {
  const models = yaml.filter((f) => ['id', 'version', 'artifact', 'architecture'].every((key) => has(f, key)));
  if (models.length === 0) return undefined;
  const pools = shortest(yaml.filter((f) => has(f, 'pools') && /\bmemory:/.test(f.text)));
  const flags = shortest(yaml.filter((f) => has(f, 'flags') && /\bexpires:/.test(f.text)));
  return {
    models: patternsOf(models, yaml),
    ...(pools === undefined ? {} : { pools }),
    ...(flags === undefined ? {} : { flags }),
  };
}

/**
 * The overlays below a folder `clusters`, or else those of one base: kustomizations that take from a folder beside or above
 * themselves, and that no other one takes from.
 */
function clustersOf(yaml: readonly File[], paths: readonly string[]): Found['clusters'] {
  const kustomizations = new Map(
    yaml.filter((f) => /^kustomization\.ya?ml$/.test(posix.basename(f.path))).map((f) => [folderOf(f.path), f.text]),
  );
  const named = [...kustomizations.keys()].filter((folder) => /(?:^|\/)clusters\/./.test(folder));
  const takes = [...kustomizations].flatMap(([folder, text]) =>
    [...text.matchAll(/(?:^|[\s[,"'])(?<path>\.\.\/[\w./-]+)/g)]
      .map((match) => posix.join(folder, match.groups!['path']!).replace(/\/$/, ''))
      .filter((from) => kustomizations.has(from))
      .map((from) => ({ folder, from })),
  );
  const used = new Set(takes.map(({ from }) => from));
  const overlays =
    named.length > 0 ? named : [...new Set(takes.map(({ folder }) => folder))].filter((folder) => !used.has(folder)).sort();
  return overlays.map((overlay) => {
    const name = posix.basename(overlay);
    const snapshot = paths.find(
      (path) => /(?:^|\/)(?:live|snapshots?)\/[^/]+\.(?:ya?ml|json)$/.test(path) && posix.parse(path).name === name,
    );
    return { name, overlay, ...(snapshot === undefined ? {} : { snapshot }) };
  });
}

/** A top-level key of a YAML document. */
function has({ text }: File, key: string): boolean {
  return new RegExp(`^${key}:`, 'm').test(text);
}

function folderOf(path: string): string {
  return posix.dirname(path);
}

/** The folders of the files, without those inside another one. */
function outermost(files: readonly File[]): readonly string[] {
  const folders = [...new Set(files.map((f) => folderOf(f.path)))].sort();
  return folders.filter(
    (folder) => !folders.some((other) => other !== folder && (other === '.' || folder.startsWith(`${other}/`))),
  );
}

/** `folder/*.yaml` where every such file of the folder is meant, the files themselves elsewhere. */
function patternsOf(files: readonly File[], all: readonly File[]): readonly string[] {
  const wanted = new Set(files.map((f) => f.path));
  const patterns = files.map(({ path }) => {
    const [folder, extension] = [folderOf(path), posix.extname(path)];
    const alike = all.filter((f) => folderOf(f.path) === folder && posix.extname(f.path) === extension);
    if (alike.length < 2 || !alike.every((f) => wanted.has(f.path))) return path;
    return folder === '.' ? `*${extension}` : `${folder}/*${extension}`;
  });
  return [...new Set(patterns)];
}

function shortest(files: readonly File[]): string | undefined {
  return files.map((f) => f.path).sort((a, b) => a.length - b.length || compareText(a, b))[0];
}
