import type { Config, Section } from '../config/load.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { GateResult } from '../core/gate.ts';
import type { FileTree, GateContext } from '../core/gate-context.ts';
import { sha256 } from '../core/json.ts';
import { renderFolder } from '../kubernetes/render.ts';
import { type RegoUse, regoUses } from '../rego/uses.ts';
import { glob, materialize, normalise } from '../workspace/tree.ts';
import { evaluateCatalog } from './evaluate.ts';
import { readFlags } from './flags.ts';
import { readModel } from './gguf.ts';
import type { ArtifactFacts } from './metadata.ts';
import { type CatalogModel, readModels, readPools } from './model.ts';
import { readPolicyPrices } from './policy-prices.ts';
import { type ModelReference, modelReferences } from './references.ts';

/** Model metadata, the files it names, and the deployments of every cluster that run its models. */
export async function runCatalogGate(context: GateContext, section: Section<'catalog'>, config: Config): Promise<GateResult> {
  const head = await readModels(context.head, section.models);
  // A change may delete models; a pattern that never matched any is a slip of the pen.
  const base = context.base === undefined ? undefined : await readModels(context.base, section.models);
  if (head.models.length + head.findings.length + (base?.models.length ?? 0) === 0)
    throw new ConfigurationError({
      message: `no file matches catalog.models (${section.models.join(', ')}).`,
      fix: 'correct the pattern, or add model metadata.',
    });
  const references: ModelReference[] = [];
  for (const cluster of config.clusters ?? [])
    references.push(...modelReferences(cluster.name, await renderFolder(context.head, cluster.overlay, context)));
  const pools = section.pools === undefined ? undefined : await readPools(context.head, section.pools);
  return evaluateCatalog({
    head,
    base,
    artifacts: await readArtifacts(context.head, head.models),
    pools,
    references,
    flags: section.flags === undefined ? undefined : await readFlags(context.head, section.flags),
    policyUses: section.flags === undefined ? undefined : await policyUses(context, config),
    policyPrices:
      config.policy !== undefined && [...(pools?.values() ?? [])].some((pool) => pool.price !== undefined)
        ? await readPolicyPrices(context.head, config.policy)
        : undefined,
    now: context.now,
  });
}

/** What the modules of the routing policy refer to, tests left out: they set flags that they don't depend on. */
async function policyUses(context: GateContext, config: Config): Promise<readonly RegoUse[] | undefined> {
  if (config.policy === undefined) return undefined;
  const tree = context.head;
  const modules = await glob(
    tree,
    config.policy.roots.map((root) => `${normalise(root)}/**/*.rego`),
  );
  const paths = modules.filter((path) => !path.endsWith('_test.rego'));
  if (paths.length === 0) return [];
  const opa = await context.tool('opa');
  await using files = await materialize(tree, paths);
  const uses: RegoUse[] = [];
  // A module that OPA can't parse is the policy gate's finding.
  for (const path of paths) uses.push(...((await regoUses(opa.path, files.dir, path)) ?? []));
  return uses;
}

/** Digests of the model files in the repository: streamed from disk; from a commit as far as a blob can be read. */
export async function readArtifacts(
  tree: FileTree,
  models: readonly CatalogModel[],
): Promise<ReadonlyMap<string, ArtifactFacts>> {
  const facts = new Map<string, ArtifactFacts>();
  for (const model of models) {
    const path = model.value.artifact.path;
    if (path !== undefined) facts.set(model.file, await artifactFacts(tree, path, model.value.artifact.format));
  }
  return facts;
}

/** A header is read from files up to this size; larger ones are only digested. */
const MAX_HEADER_FILE_BYTES = 256 * 1024 * 1024;

async function artifactFacts(tree: FileTree, path: string, format: 'gguf' | 'safetensors'): Promise<ArtifactFacts> {
  const streamed = await tree.digest?.(path);
  if (streamed !== undefined && streamed.bytes > MAX_HEADER_FILE_BYTES) return { ...streamed, pointer: false };
  const bytes = await tree.read(path);
  if (bytes === undefined) return 'absent';
  const pointer = lfsPointer(bytes);
  if (pointer !== undefined) return pointer;
  const facts = { bytes: bytes.byteLength, sha256: streamed?.sha256 ?? sha256(bytes), pointer: false };
  if (format !== 'gguf') return facts;
  try {
    return {
      ...facts,
      header: await readModel({ name: path, size: bytes.byteLength, read: async (start, end) => bytes.subarray(start, end) }),
    };
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return { ...facts, header: { problem: error.problems[0]!.message } };
  }
}

/** A Git LFS pointer stands for a file: its oid is the SHA-256 (git-lfs docs/spec.md). */
function lfsPointer(bytes: Buffer): ArtifactFacts | undefined {
  if (bytes.byteLength > 1024) return undefined;
  const match =
    /^version https:\/\/git-lfs\.github\.com\/spec\/v1\n(?:[^\n]*\n)*?oid sha256:(?<oid>[0-9a-f]{64})\nsize (?<size>\d{1,15})\n/.exec(
      bytes.toString('latin1'),
    );
  return match === null ? undefined : { bytes: Number(match.groups!['size']), sha256: match.groups!['oid']!, pointer: true };
}

/** For a folder of model files: what `mixgate catalog check DIR` reads without a mixgate.yaml. */
export async function catalogSectionOf(tree: FileTree): Promise<Section<'catalog'>> {
  const files = await tree.list();
  const yaml = files.filter((file) => /\.(ya?ml|json)$/i.test(file));
  const pools = yaml.find((file) => /(^|\/)pools\.(ya?ml|json)$/i.test(file));
  const flags = yaml.find((file) => /(^|\/)flags\.(ya?ml|json)$/i.test(file));
  const models = yaml.filter((file) => file !== pools && file !== flags);
  if (models.length === 0)
    throw new ConfigurationError({
      message: `there is no model metadata in ${tree.name}.`,
      expected: 'YAML files as schemas/model.schema.json describes them',
    });
  return {
    models: models as [string, ...string[]],
    ...(pools === undefined ? {} : { pools }),
    ...(flags === undefined ? {} : { flags }),
  };
}
