import { nearest } from '../config/suggest.ts';
import type { Finding } from '../core/finding.ts';
import { canonicalJson } from '../core/json.ts';
import { contradictions, countParameters } from './architecture.ts';
import type { ModelFile } from './gguf.ts';
import type { CatalogModel } from './model.ts';
import { bitsPerWeight, QUANTISATIONS } from './quantisation.ts';
import { catalogFinding } from './rules.ts';

/** What a model file in the repository turned out to be. */
export type ArtifactFacts =
  | {
      readonly bytes: number;
      readonly sha256: string;
      /** Known from a Git LFS pointer; the file itself isn't here. */
      readonly pointer: boolean;
      /** The header of a GGUF file, or why it can't be read. */
      readonly header?: ModelFile | { readonly problem: string };
    }
  | 'absent';

/** Stands for "not filled in": a real file never has it. */
export const PLACEHOLDER_DIGEST = `sha256:${'0'.repeat(64)}`;

export const modelTitle = (model: CatalogModel): string => `${model.value.id} ${model.value.version}`;

/** Everything that one model's metadata can be wrong about by itself. */
export function metadataFindings(model: CatalogModel, facts: ArtifactFacts | undefined): readonly Finding[] {
  return [
    ...digestFindings(model, facts),
    ...headerFindings(model, facts),
    ...architectureFindings(model),
    ...parameterFindings(model),
    ...quantisationFindings(model),
  ];
}

function digestFindings(model: CatalogModel, facts: ArtifactFacts | undefined): readonly Finding[] {
  const { artifact } = model.value;
  const common = { subject: modelTitle(model) };
  if (artifact.digest === PLACEHOLDER_DIGEST || (artifact.digest === undefined && artifact.revision === undefined)) {
    return [
      catalogFinding('catalog-digest-missing', {
        ...common,
        message: `Nothing says which bytes ${modelTitle(model)} consists of: it has neither a digest nor a revision.`,
        location: model.locate(['artifact', 'digest']),
        fix: 'Write `digest: sha256:...` of the file (`sha256sum FILE`), or the commit of the model repository as `revision`.',
      }),
    ];
  }
  if (artifact.path === undefined || facts === undefined) return [];
  if (facts === 'absent') {
    return [
      catalogFinding('catalog-artifact-missing', {
        ...common,
        message: `${modelTitle(model)} names the file ${artifact.path}, which is not in the repository.`,
        location: model.locate(['artifact', 'path']),
        fix: 'Add the file, correct the path, or leave `path` out when the file lives elsewhere.',
      }),
    ];
  }
  const actual = `sha256:${facts.sha256}`;
  const findings: Finding[] = [];
  if (artifact.digest !== undefined && artifact.digest !== actual) {
    findings.push(
      catalogFinding('catalog-digest-mismatch', {
        ...common,
        message: `${artifact.path} is not the file that ${modelTitle(model)} names: its SHA-256 is ${facts.sha256.slice(0, 12)}..., the metadata says ${artifact.digest.slice(7, 19)}....`,
        location: model.locate(['artifact', 'digest']),
        related: [{ file: artifact.path }],
        evidence: {
          path: artifact.path,
          actual,
          declared: artifact.digest,
          ...(facts.pointer ? { from: 'Git LFS pointer' } : {}),
        },
        fix: 'Find out which of the two is right. New bytes are a new version: add metadata for it rather than changing this one.',
      }),
    );
  }
  if (artifact.bytes !== undefined && artifact.bytes !== facts.bytes) {
    findings.push(
      catalogFinding('catalog-digest-mismatch', {
        ...common,
        message: `${artifact.path} has ${facts.bytes} bytes, the metadata of ${modelTitle(model)} says ${artifact.bytes}.`,
        location: model.locate(['artifact', 'bytes']),
        evidence: { path: artifact.path, actual: facts.bytes, declared: artifact.bytes },
        fix: 'Write the real size.',
      }),
    );
  }
  return findings;
}

/** The metadata against the header of the file itself. */
function headerFindings(model: CatalogModel, facts: ArtifactFacts | undefined): readonly Finding[] {
  if (facts === undefined || facts === 'absent' || facts.header === undefined) return [];
  const { header } = facts;
  const common = { related: [{ file: model.value.artifact.path! }], subject: modelTitle(model) };
  if ('problem' in header) {
    return [
      catalogFinding('catalog-architecture-inconsistent', {
        ...common,
        message: `${model.value.artifact.path} is no usable model: ${header.problem}`,
        location: model.locate(['artifact', 'path']),
        fix: 'Add the whole file, with merged experts.',
      }),
    ];
  }
  const { architecture, parameters } = model.value;
  const fields = ['layers', 'hiddenSize', 'heads', 'kvHeads', 'headDim', 'feedForwardSize', 'experts', 'activeExperts'] as const;
  const wrong = fields.filter((field) => architecture[field] !== header.architecture[field]);
  const findings = wrong.map((field) =>
    catalogFinding('catalog-architecture-inconsistent', {
      ...common,
      message: `${modelTitle(model)} says ${field} is ${architecture[field]}, the header of ${model.value.artifact.path} says ${header.architecture[field]}.`,
      location: model.locate(['architecture', field]),
      evidence: { field, declared: architecture[field], header: header.architecture[field] },
      fix: `Write ${field}: ${header.architecture[field]}.`,
    }),
  );
  if (parameters.total === header.parameters.total) return findings;
  return [
    ...findings,
    catalogFinding('catalog-parameters-active', {
      ...common,
      message: `${modelTitle(model)} says it has ${group(parameters.total)} parameters, the tensors of ${model.value.artifact.path} have ${group(header.parameters.total)}.`,
      location: model.locate(['parameters', 'total']),
      evidence: { declared: parameters.total, counted: header.parameters.total, countedActive: header.parameters.active },
      fix: `Write total: ${header.parameters.total} and active: ${header.parameters.active}.`,
    }),
  ];
}

function architectureFindings(model: CatalogModel): readonly Finding[] {
  return contradictions(model.value.architecture).map((each) =>
    catalogFinding('catalog-architecture-inconsistent', {
      message: `The architecture of ${modelTitle(model)} contradicts itself: ${each.message}.`,
      location: model.locate(['architecture', each.field]),
      subject: modelTitle(model),
      fix: "Copy the numbers from the model's own configuration (config.json, GGUF header).",
    }),
  );
}

function parameterFindings(model: CatalogModel): readonly Finding[] {
  const { parameters, architecture } = model.value;
  const common = { location: model.locate(['parameters', 'total']), subject: modelTitle(model) };
  const counted = countParameters(architecture);
  const moe = architecture.experts > 1;
  const near = (a: number, b: number): boolean => Math.abs(a - b) <= 0.01 * b;
  if (counted !== undefined && !near(parameters.total, counted.total)) {
    const isActive = moe && near(parameters.total, counted.active);
    return [
      catalogFinding('catalog-parameters-active', {
        ...common,
        message: isActive
          ? `${modelTitle(model)} gives its active parameters (${group(parameters.total)}) as the total, which is ${group(counted.total)}.`
          : `${modelTitle(model)} says it has ${group(parameters.total)} parameters, its architecture has ${group(counted.total)}.`,
        evidence: { declared: parameters.total, counted: counted.total, countedActive: counted.active },
        fix: isActive
          ? `All ${architecture.experts} experts must be in memory: write total: ${counted.total} and active: ${counted.active}.`
          : `Correct the architecture, or write total: ${counted.total}.`,
      }),
    ];
  }
  if (
    parameters.active > parameters.total ||
    (moe && architecture.activeExperts < architecture.experts && parameters.active === parameters.total)
  ) {
    return [
      catalogFinding('catalog-parameters-active', {
        ...common,
        location: model.locate(['parameters', 'active']),
        message: `${modelTitle(model)} has ${group(parameters.active)} active of ${group(parameters.total)} parameters, though a token uses ${architecture.activeExperts} of ${architecture.experts} experts.`,
        evidence: { total: parameters.total, active: parameters.active },
        fix: 'Write the total of all experts and the active count of one token.',
      }),
    ];
  }
  if (counted !== undefined && !near(parameters.active, counted.active)) {
    return [
      catalogFinding('catalog-parameters-active', {
        ...common,
        level: 'warning',
        location: model.locate(['parameters', 'active']),
        message: `${modelTitle(model)} says ${group(parameters.active)} parameters are active, its architecture has ${group(counted.active)}.`,
        evidence: { declared: parameters.active, counted: counted.active },
        fix: `Write active: ${counted.active}.`,
      }),
    ];
  }
  return [];
}

function quantisationFindings(model: CatalogModel): readonly Finding[] {
  const { quantisation, artifact, parameters } = model.value;
  const bits = bitsPerWeight(quantisation);
  if (bits === undefined) {
    const guess = nearest(quantisation, QUANTISATIONS);
    return [
      catalogFinding('catalog-metadata-invalid', {
        message: `Nobody knows how many bits a weight of ${modelTitle(model)} takes: the quantisation is ${JSON.stringify(quantisation.slice(0, 40))}.`,
        location: model.locate(['quantisation']),
        subject: modelTitle(model),
        fix: guess === undefined ? `Use one of ${QUANTISATIONS.join(', ')}.` : `Did you mean ${guess}?`,
      }),
    ];
  }
  const expected = (parameters.total * bits) / 8;
  // Mixes keep some tensors at more bits; a file half or twice the size is another file.
  if (artifact.bytes === undefined || (artifact.bytes > expected * 0.6 && artifact.bytes < expected * 1.7 + 2 ** 20)) return [];
  return [
    catalogFinding('catalog-architecture-inconsistent', {
      message: `${modelTitle(model)} cannot be ${group(artifact.bytes)} bytes: ${group(parameters.total)} parameters in ${quantisation} take about ${group(Math.round(expected))}.`,
      location: model.locate(['artifact', 'bytes']),
      subject: modelTitle(model),
      evidence: { bytes: artifact.bytes, expected: Math.round(expected) },
      fix: 'Correct the size, the quantisation or the parameter count.',
    }),
  ];
}

/** Findings about the set: versions twice, and versions that this change alters. */
export function versionFindings(models: readonly CatalogModel[], base: readonly CatalogModel[] | undefined): readonly Finding[] {
  const findings: Finding[] = [];
  const first = new Map<string, CatalogModel>();
  for (const model of models) {
    const before = first.get(modelTitle(model));
    if (before === undefined) {
      first.set(modelTitle(model), model);
      continue;
    }
    findings.push(
      catalogFinding('catalog-version-duplicate', {
        message: `${modelTitle(model)} is described twice.`,
        location: model.locate(['version']),
        related: [{ ...before.locate(['version']), message: 'the other description' }],
        subject: modelTitle(model),
        fix: 'Give the newer one the next version, or delete one.',
      }),
    );
  }
  for (const old of base ?? []) {
    const now = first.get(modelTitle(old));
    if (now === undefined) continue;
    const changed = (['artifact', 'architecture', 'parameters', 'quantisation'] as const).filter(
      (field) => canonicalJson(identity(old, field)) !== canonicalJson(identity(now, field)),
    );
    if (changed.length === 0) continue;
    findings.push(
      catalogFinding('catalog-version-mutated', {
        message: `This change alters ${changed.join(', ')} of ${modelTitle(old)}, a version that exists already.`,
        location: now.locate([changed[0]!]),
        related: [{ ...old.locate([changed[0]!]), message: 'as it was' }],
        evidence: Object.fromEntries(
          changed.map((field) => [field, { before: identity(old, field), after: identity(now, field) }]),
        ),
        subject: modelTitle(old),
        fix: 'Leave the version as it is and add a new one; deployments and evidence refer to what it was.',
      }),
    );
  }
  return findings;
}

/** What makes a version that version; where its file lies may change, and a digest may be filled in. */
function identity(model: CatalogModel, field: 'artifact' | 'architecture' | 'parameters' | 'quantisation') {
  if (field !== 'artifact') return model.value[field] as never;
  const { digest, revision, format } = model.value.artifact;
  return {
    ...(digest === undefined || digest === PLACEHOLDER_DIGEST ? {} : { digest }),
    ...(revision === undefined ? {} : { revision }),
    format,
  };
}

function group(value: number): string {
  return value.toLocaleString('en-US');
}
