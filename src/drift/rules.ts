import { findingsOf, type RuleInfo } from '../core/rules.ts';

export const RULES = [
  { id: 'drift-traffic-changed', level: 'error', summary: 'A cluster sends a share of traffic that Git does not declare.' },
  { id: 'drift-model-changed', level: 'error', summary: 'A cluster runs another model, revision or image than Git declares.' },
  { id: 'drift-policy-changed', level: 'error', summary: 'A cluster holds another policy or policy data than Git declares.' },
  { id: 'drift-field-changed', level: 'error', summary: 'A field of a live object differs from Git.' },
  { id: 'drift-object-missing', level: 'error', summary: 'An object that Git declares does not exist in the cluster.' },
  { id: 'drift-object-extra', level: 'warning', summary: 'A cluster has an object that Git does not declare.' },
  {
    id: 'drift-cluster-outlier',
    level: 'warning',
    summary: 'One cluster differs from the others in something that must be equal.',
  },
  { id: 'drift-policy-revision-skew', level: 'error', summary: 'A policy engine runs another bundle revision than the fleet.' },
  { id: 'drift-policy-stale', level: 'warning', summary: 'A policy engine has not reached its bundle server for too long.' },
  {
    id: 'drift-policy-activation-failed',
    level: 'error',
    summary: 'A policy engine could not activate its bundle and serves an old policy.',
  },
  { id: 'drift-api-generation', level: 'warning', summary: 'A cluster still holds an object in an older API generation.' },
  { id: 'drift-pending', level: 'note', summary: 'A change in Git has not reached the cluster yet.' },
  { id: 'drift-rollout-in-transit', level: 'note', summary: 'A live weight is inside its declared rollout window.' },
  { id: 'drift-rollout-stuck', level: 'error', summary: 'A declared rollout window is over and the weight has not arrived.' },
  { id: 'drift-allowance-expired', level: 'error', summary: 'An allowed difference has expired and hides nothing any more.' },
  { id: 'drift-allowance-unused', level: 'warning', summary: 'An allowed difference hides nothing.' },
  { id: 'drift-unverifiable', level: 'warning', summary: 'Two sides look equal but nothing proves it.' },
  { id: 'drift-snapshot-unusable', level: 'warning', summary: 'A snapshot is missing, undated or too old to judge by.' },
  { id: 'drift-source-conflict', level: 'error', summary: 'Two sources of one snapshot disagree about an object.' },
] as const satisfies readonly RuleInfo[];

export type DriftRule = (typeof RULES)[number]['id'];

/** A finding of this gate. */
export const driftFinding = findingsOf(RULES);
