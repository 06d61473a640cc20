import type { Location } from '../core/finding.ts';
import type { NormalisedObject } from '../kubernetes/normalise.ts';
import type { DriftClass } from './classify.ts';
import type { Allowance, Rollout } from './contract.ts';
import type { Member } from './nway.ts';
import type { BundleStatus } from './opa-status.ts';

/** One cluster: what Git declares for it, and its snapshot if there is one. */
export interface DriftCluster {
  readonly name: string;
  readonly baseline: boolean;
  readonly aliases: Member['aliases'];
  readonly desired: readonly NormalisedObject[];
  readonly base: readonly NormalisedObject[] | undefined;
  readonly snapshot: LiveState | undefined;
  /** Where a snapshot was looked for. */
  readonly snapshotFile: string;
}

export interface LiveState {
  readonly capturedAt: string | undefined;
  readonly capturedAtLocation: Location;
  /** The cluster the snapshot says it is from. */
  readonly cluster: string | undefined;
  readonly objects: readonly NormalisedObject[];
  readonly policies: readonly BundleStatus[];
}

export interface DriftInput {
  readonly clusters: readonly DriftCluster[];
  /** ISO 8601 instant that ages and expiries are judged by. */
  readonly now: string;
  readonly maxAgeMs: number;
  readonly policyMaxAgeMs: number;
  readonly equal: readonly string[];
  readonly blocking: ReadonlySet<DriftClass>;
  readonly reportExtra: boolean;
  readonly allow: readonly Allowance[];
  readonly rollouts: readonly Rollout[];
}
