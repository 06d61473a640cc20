import { nearest } from '../config/suggest.ts';
import type { Finding } from '../core/finding.ts';
import { type GateResult, gateResult, type Subject, type Table } from '../core/gate.ts';
import { plural } from '../core/text.ts';
import type { RegoUse } from '../rego/uses.ts';
import { formatBytes } from './bytes.ts';
import { type Fit, fitReference, memoryFinding } from './fit.ts';
import { type FlagList, flagFindings, flagTable } from './flags.ts';
import { type ArtifactFacts, metadataFindings, modelTitle, PLACEHOLDER_DIGEST, versionFindings } from './metadata.ts';
import type { Catalog, CatalogModel, Pool } from './model.ts';
import { type PolicyPrice, priceMismatches, stalePrices } from './prices.ts';
import { bitsPerWeight } from './quantisation.ts';
import { type ModelReference, textOf } from './references.ts';
import { catalogFinding } from './rules.ts';

export interface CatalogInput {
  readonly head: Catalog;
  /** The catalogue before the change. */
  readonly base: Catalog | undefined;
  /** By model file: what `artifact.path` is. */
  readonly artifacts: ReadonlyMap<string, ArtifactFacts>;
  /** Undefined when no file of pools is configured. */
  readonly pools: ReadonlyMap<string, Pool> | undefined;
  readonly references: readonly ModelReference[];
  /** The feature flags, or why their list can't be used; undefined when none is configured. */
  readonly flags: FlagList | readonly Finding[] | undefined;
  /** What the modules of the routing policy refer to; undefined when no policy is configured. */
  readonly policyUses: readonly RegoUse[] | undefined;
  /** What the data of the routing policy says that pools cost; undefined when no policy is configured, or no pool has a price. */
  readonly policyPrices: readonly PolicyPrice[] | undefined;
  /** ISO time: prices and flags age against it. */
  readonly now: string;
}

/** Judges the catalogue and what is deployed from it. Pure. */
export function evaluateCatalog(input: CatalogInput): GateResult {
  const { models } = input.head;
  const findings: Finding[] = [
    ...input.head.findings,
    ...models.flatMap((model) => metadataFindings(model, input.artifacts.get(model.file))),
    ...versionFindings(models, input.base?.models),
    ...stalePrices([...(input.pools?.values() ?? [])], input.now),
    ...priceMismatches([...(input.pools?.values() ?? [])], input.policyPrices ?? []),
  ];
  const flags = input.flags !== undefined && 'locate' in input.flags ? input.flags : undefined;
  if (flags !== undefined) findings.push(...flagFindings(flags, input.policyUses, input.now));
  else if (input.flags !== undefined) findings.push(...(input.flags as readonly Finding[]));
  const fits: Fit[] = [];
  const unknown: string[] = [];
  for (const reference of input.references) {
    const model = models.find((each) => each.value.id === reference.model && each.value.version === reference.version);
    if (model === undefined) {
      findings.push(unknownReference(reference, models));
      continue;
    }
    findings.push(...lifecycleFindings(reference, model), ...mismatchFindings(reference, model));
    if (input.pools === undefined) continue;
    for (const pool of poolsOf(reference, input.pools, findings, unknown)) {
      const fit = fitReference(reference, model, pool);
      if (fit === undefined || fits.some((each) => each.pool === pool && each.reference === reference)) continue;
      fits.push(fit);
      const finding = memoryFinding(fit);
      if (finding !== undefined) findings.push(finding);
    }
  }
  const fitting = fits.filter((fit) => fit.plan.fits).length;
  return gateResult({
    id: 'catalog',
    findings,
    measurements: fits.map((fit) => ({
      name: 'catalog.memory.required',
      value: fit.plan.total,
      unit: 'By',
      cluster: fit.reference.cluster,
      segment: `${modelTitle(fit.model)} in ${fit.pool.id} (${fit.reference.workload})`,
      limit: fit.plan.available,
      verdict: fit.plan.fits ? ('pass' as const) : ('fail' as const),
    })),
    tables: [
      modelTable(models),
      ...(fits.length === 0 ? [] : [planTable(fits)]),
      ...(flags === undefined ? [] : [flagTable(flags, input.now)]),
    ],
    charts: fits.length === 0 ? [] : [planChart(fits)],
    subjects: models.flatMap(subjectOf),
    passReason: `${plural(models.length, 'model version')} ${models.length === 1 ? 'is' : 'are'} complete${fits.length === 0 ? '' : `, ${fitting} of ${fits.length} deployments fit their pool`}${flags === undefined ? '' : `, feature flags in force: ${flags.flags.length}`}`,
    inconclusive:
      unknown.length > 0
        ? unknown.join(' ')
        : models.length === 0 && findings.length === 0
          ? 'The catalogue has no model: nothing was judged.'
          : undefined,
  });
}

function unknownReference(reference: ModelReference, models: readonly CatalogModel[]): Finding {
  const versions = models.filter((each) => each.value.id === reference.model).map((each) => each.value.version);
  const guess = versions.length === 0 ? nearest(reference.model, new Set(models.map((each) => each.value.id))) : undefined;
  const what =
    reference.version === undefined
      ? `${reference.workload} in ${reference.cluster} runs ${reference.model} without saying which version of the catalogue that is.`
      : `${reference.workload} in ${reference.cluster} runs ${reference.model} ${reference.version}, which the catalogue does not have.`;
  return catalogFinding('catalog-reference-unknown', {
    message: what,
    location: reference.location,
    evidence: { model: reference.model, version: reference.version ?? '', known: versions },
    fix:
      versions.length > 0
        ? `Set the pod label mixgate.dev/model-version to one of ${versions.join(', ')}, or add metadata for this version.`
        : guess === undefined
          ? reference.version === undefined
            ? 'Set the pod labels mixgate.dev/model and mixgate.dev/model-version to a model of the catalogue; add its metadata where there is none yet.'
            : 'Add metadata for this model and version.'
          : `Did you mean ${guess}? Else add metadata for this model.`,
    subject: `${reference.cluster} ${reference.workload}`,
  });
}

function lifecycleFindings(reference: ModelReference, model: CatalogModel): readonly Finding[] {
  const stage = model.value.lifecycle;
  if (stage !== 'retired' && stage !== 'deprecated') return [];
  return [
    catalogFinding('catalog-lifecycle-violated', {
      level: stage === 'retired' ? 'error' : 'warning',
      message: `${reference.workload} in ${reference.cluster} runs ${modelTitle(model)}, which is ${stage}.`,
      location: reference.location,
      related: [{ ...model.locate(['lifecycle']), message: 'its lifecycle stage' }],
      fix: `Deploy a version in production, or ask ${model.value.owner} why this one is ${stage}.`,
      subject: modelTitle(model),
    }),
  ];
}

/** Ways of storing weights that a server applies when it loads a 16-bit checkpoint: without the flag the weights stay 16-bit. */
const ON_LOAD = new Set(['FP8', 'INT8']);

function mismatchFindings(reference: ModelReference, model: CatalogModel): readonly Finding[] {
  const findings: Finding[] = [];
  const report = (flag: string, sentence: string, fix: string): void => {
    findings.push(
      catalogFinding('catalog-reference-mismatch', {
        message: `${reference.workload} in ${reference.cluster} ${sentence}.`,
        location: reference.flagLocation(flag),
        related: [
          {
            ...model.locate(flag === 'revision' ? ['artifact', 'revision'] : ['quantisation']),
            message: 'as the catalogue has it',
          },
        ],
        fix,
        subject: `${reference.cluster} ${reference.workload}`,
      }),
    );
  };
  const revision = textOf(reference.flags['revision']);
  const declared = model.value.artifact.revision;
  if (reference.server !== 'runtime' && declared !== undefined && revision !== undefined && revision !== declared)
    report(
      'revision',
      `loads revision ${revision.slice(0, 60)} of ${modelTitle(model)}, the catalogue has ${declared}`,
      'Deploy the revision of the catalogue, or add the other one as a new version.',
    );
  if (
    reference.server === 'vllm' &&
    model.value.artifact.format !== 'gguf' &&
    bitsPerWeight(model.value.quantisation) !== undefined
  ) {
    const flag = textOf(reference.flags['quantization'])?.toUpperCase();
    const stored = model.value.quantisation.toUpperCase();
    const prequantised = model.value.artifact.uri.toUpperCase().includes(stored);
    if (flag === undefined && ON_LOAD.has(stored) && !prequantised)
      report(
        'quantization',
        `starts ${modelTitle(model)} without --quantization, so its weights stay 16-bit; the catalogue says ${stored}`,
        `Add --quantization=${stored.toLowerCase()}.`,
      );
    else if (flag !== undefined && !flag.startsWith(stored) && !stored.startsWith(flag) && !/^(COMPRESSED|MARLIN)/.test(flag))
      report(
        'quantization',
        `starts ${modelTitle(model)} with --quantization=${flag.toLowerCase()}; the catalogue says ${stored}`,
        'Make the flag and the catalogue agree.',
      );
  }
  return findings;
}

function poolsOf(
  reference: ModelReference,
  pools: ReadonlyMap<string, Pool>,
  findings: Finding[],
  unknown: string[],
): readonly Pool[] {
  if (reference.pools.length === 0) {
    const sentence = `No InferencePool of ${reference.cluster} selects ${reference.workload}, so nobody can tell how much memory it has.`;
    unknown.push(sentence);
    findings.push(
      catalogFinding('catalog-pool-unknown', {
        message: sentence,
        location: reference.location,
        fix: 'Make the selector of its pool match the pod labels.',
        subject: `${reference.cluster} ${reference.workload}`,
      }),
    );
  }
  return [...new Set(reference.pools)].flatMap((id) => {
    const pool = pools.get(id);
    if (pool !== undefined) return [pool];
    const sentence = `Pool ${id}, which runs ${reference.workload} in ${reference.cluster}, is not in the list of pools, so its memory is unknown.`;
    unknown.push(sentence);
    findings.push(
      catalogFinding('catalog-pool-unknown', {
        message: sentence,
        location: reference.location,
        fix: `Add ${id} with its memory to the file that catalog.pools names; it has ${[...pools.keys()].join(', ')}.`,
        subject: id,
      }),
    );
    return [];
  });
}

function modelTable(models: readonly CatalogModel[]): Table {
  return {
    title: 'Model catalogue',
    columns: ['model', 'version', 'lifecycle', 'experts', 'parameters', 'weights', 'licence', 'owner', 'identity'],
    rows: models
      .map(({ value }) => [
        value.id,
        value.version,
        value.lifecycle,
        value.architecture.experts > 1 ? `${value.architecture.activeExperts} of ${value.architecture.experts}` : 'dense',
        `${short(value.parameters.total)}${value.parameters.active === value.parameters.total ? '' : `, ${short(value.parameters.active)} active`}`,
        value.quantisation,
        value.licence,
        value.owner,
        value.artifact.digest?.slice(0, 19) ??
          (value.artifact.revision === undefined ? '-' : `git ${value.artifact.revision.slice(0, 12)}`),
      ])
      .sort((a, b) => (`${a[0]} ${a[1]}` < `${b[0]} ${b[1]}` ? -1 : 1)),
  };
}

/** `46.7 B`, `5.5 M`: the exact numbers are in the metadata. */
function short(parameters: number): string {
  const [unit, size] = parameters >= 1e9 ? ['B', 1e9] : ['M', 1e6];
  return `${(parameters / Number(size)).toFixed(1)}\u00a0${unit}`;
}

function planTable(fits: readonly Fit[]): Table {
  return {
    title: 'Memory of a replica against its pool',
    columns: ['pool', 'workload', 'model', 'weights', 'KV cache', 'activations', 'overhead', 'needed', 'available', 'fits'],
    rows: fits.map(({ plan, pool, reference, model }) => [
      pool.id,
      reference.workload,
      modelTitle(model),
      ...[plan.weights, plan.kvCache, plan.activations, plan.overhead, plan.total, plan.available].map(formatBytes),
      plan.fits ? 'yes' : 'no',
    ]),
    note: 'weights of all experts; activations are an estimate',
  };
}

function planChart(fits: readonly Fit[]) {
  const gib = (bytes: number): number => Number((bytes / 2 ** 30).toFixed(3));
  return {
    kind: 'bar' as const,
    title: 'Memory needed and available',
    yLabel: 'GiB',
    categories: planLabels(fits),
    series: [
      { name: 'weights', values: fits.map((fit) => gib(fit.plan.weights)) },
      { name: 'KV cache', values: fits.map((fit) => gib(fit.plan.kvCache)) },
      { name: 'activations and overhead', values: fits.map((fit) => gib(fit.plan.activations + fit.plan.overhead)) },
      { name: 'available', values: fits.map((fit) => gib(fit.plan.available)) },
    ],
  };
}

/** Pool and model; with the workload where a pool has several of the same model, such as a `next` slot. */
function planLabels(fits: readonly Fit[]): readonly string[] {
  const short = fits.map((fit) => `${fit.pool.id} ${modelTitle(fit.model)}`);
  return fits.map(({ reference }, index) => {
    const label = short[index]!;
    return short.indexOf(label) === short.lastIndexOf(label) ? label : `${label} (${reference.workload})`;
  });
}

function subjectOf(model: CatalogModel): readonly Subject[] {
  const { digest, revision } = model.value.artifact;
  const sha256 = digest === undefined || digest === PLACEHOLDER_DIGEST ? undefined : digest.slice('sha256:'.length);
  if (sha256 === undefined && revision === undefined) return [];
  return [
    {
      name: `model/${model.value.id}@${model.value.version}`,
      digest: { ...(sha256 === undefined ? {} : { sha256 }), ...(revision === undefined ? {} : { gitCommit: revision }) },
    },
  ];
}
