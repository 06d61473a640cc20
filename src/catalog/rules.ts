import { findingsOf, type RuleInfo } from '../core/rules.ts';

export const RULES = [
  { id: 'catalog-metadata-invalid', level: 'error', summary: "A model's metadata lacks something or has the wrong form." },
  { id: 'catalog-digest-mismatch', level: 'error', summary: 'A model file is not the one that its metadata names.' },
  { id: 'catalog-digest-missing', level: 'error', summary: 'Nothing says which bytes a model version consists of.' },
  { id: 'catalog-artifact-missing', level: 'error', summary: 'The model file that the metadata names is not in the repository.' },
  { id: 'catalog-version-duplicate', level: 'error', summary: 'Two files describe the same version of a model.' },
  { id: 'catalog-version-mutated', level: 'error', summary: 'A change alters what an existing model version is.' },
  {
    id: 'catalog-reference-unknown',
    level: 'error',
    summary: 'A deployment runs a model version that the catalogue does not have.',
  },
  {
    id: 'catalog-reference-mismatch',
    level: 'error',
    summary: 'A deployment starts a model otherwise than the catalogue describes it.',
  },
  { id: 'catalog-lifecycle-violated', level: 'error', summary: 'A deployment runs a model that is deprecated or retired.' },
  { id: 'catalog-memory-exceeded', level: 'error', summary: 'A model does not fit the memory of the pool it is deployed to.' },
  { id: 'catalog-pool-unknown', level: 'warning', summary: 'Nobody can tell which pool, or how much memory, a deployment has.' },
  {
    id: 'catalog-parameters-active',
    level: 'error',
    summary: 'The parameter count is not the total of the architecture, e.g. the active count.',
  },
  { id: 'catalog-price-stale', level: 'warning', summary: 'The price of a pool is old, so that costs may be wrong.' },
  {
    id: 'catalog-price-mismatch',
    level: 'error',
    summary: 'The policy ranks a pool by a cost that contradicts its price in the catalogue.',
  },
  { id: 'catalog-flag-invalid', level: 'error', summary: 'A feature flag lacks something or has the wrong form.' },
  { id: 'catalog-flag-owner-missing', level: 'error', summary: 'A feature flag has no owner.' },
  { id: 'catalog-flag-expired', level: 'error', summary: 'A feature flag is past the day on which it ends.' },
  { id: 'catalog-flag-unknown', level: 'error', summary: 'The policy reads a feature flag that the catalogue does not have.' },
  { id: 'catalog-flag-unused', level: 'warning', summary: 'No policy reads a feature flag of the catalogue.' },
  { id: 'catalog-architecture-inconsistent', level: 'error', summary: 'Facts about the architecture contradict each other.' },
] as const satisfies readonly RuleInfo[];

/** A finding of this gate. */
export const catalogFinding = findingsOf(RULES);
