import type { Finding } from '../core/finding.ts';
import { isObject } from '../core/json.ts';
import { append, groupBy } from '../core/multimap.ts';
import { show } from '../kubernetes/mask.ts';
import type { NormalisedObject } from '../kubernetes/normalise.ts';
import { groupOf, objectKey, objectName } from '../kubernetes/object.ts';
import { parsePointer, textAt, valueAt, within } from '../kubernetes/path.ts';
import { type Change, changesOf, matchObjects, movingImages } from './changes.ts';
import { type DriftClass, isPolicyBundle, isRouting } from './classify.ts';
import { type Contract, type Rollout, rolloutState } from './contract.ts';
import { changeFinding, type Sides } from './messages.ts';
import { driftFinding } from './rules.ts';
import { percent, poolVersions } from './traffic.ts';

export type DriftState = 'ok' | 'missing' | 'extra' | 'drifted' | 'allowed' | 'in-transit' | 'pending' | 'unverifiable';

/** Git against the snapshot of one cluster. */
export interface ClusterComparison {
  readonly cluster: string;
  readonly desired: readonly NormalisedObject[];
  /** What Git declared before this change, or what was last applied: a live object that equals it is only not reconciled yet. */
  readonly base: readonly NormalisedObject[] | undefined;
  readonly live: readonly NormalisedObject[];
}

export interface ComparisonRules {
  readonly blocking: ReadonlySet<DriftClass>;
  readonly rollouts: readonly Rollout[];
  readonly reportExtra: boolean;
  readonly now: string;
  /** What to add to a finding about an object, e.g. that the cluster is the odd one out. */
  remark(cluster: string, object: NormalisedObject): string | undefined;
}

export interface ClusterOutcome {
  readonly findings: readonly Finding[];
  /** By object, in the live object's own name. */
  readonly states: ReadonlyMap<string, DriftState>;
  readonly movingImages: readonly string[];
  /** Live objects of declared kinds, and how many of them Git declares. */
  readonly coverage: { readonly live: number; readonly declared: number };
}

const ORDER: readonly DriftState[] = ['ok', 'allowed', 'in-transit', 'pending', 'unverifiable', 'extra', 'missing', 'drifted'];

function worse(a: DriftState, b: DriftState): DriftState {
  return ORDER.indexOf(a) >= ORDER.indexOf(b) ? a : b;
}

/** Judges one cluster: each object that Git declares or the cluster has gets a state, and what is not allowed, pending or in transit is a finding. */
export function compareCluster(input: ClusterComparison, contract: Contract, rules: ComparisonRules): ClusterOutcome {
  const findings: Finding[] = [];
  const states = new Map<string, DriftState>();
  const moving = new Set<string>();
  const versions = { left: poolVersions(input.desired), right: poolVersions(input.live) };
  const baseVersions = poolVersions(input.base ?? []);
  const baseByKey = new Map((input.base ?? []).map((object) => [objectKey(object), object]));
  const sides: Sides = { left: 'Git', right: input.cluster, subject: input.cluster, blocking: rules.blocking };
  const matched = matchObjects(input.desired, input.live);
  const mark = (object: NormalisedObject, state: DriftState): void => {
    states.set(objectName(object), worse(states.get(objectName(object)) ?? 'ok', state));
  };

  for (const { left, right } of matched.pairs) {
    mark(left, 'ok');
    if (right.convertedFrom !== undefined && right.convertedFrom !== left.convertedFrom) {
      findings.push(
        driftFinding('drift-api-generation', {
          message: `${input.cluster} still holds ${objectName(right)} as ${right.convertedFrom}, Git declares ${left.raw['apiVersion'] as string}.`,
          location: right.locate(['apiVersion']),
          related: [{ ...left.locate(['apiVersion']), message: 'Git declares it here' }],
          fix: 'Upgrade the CRDs of the cluster and store the object in the new version before the old one is no longer served.',
          subject: input.cluster,
        }),
      );
    }
    for (const image of movingImages(left, right)) moving.add(`${objectName(left)}: ${image}`);
    const base = baseByKey.get(objectKey(left));
    const notYet =
      base === undefined
        ? undefined
        : new Set(changesOf(base, right, { left: baseVersions, right: versions.right }).map((change) => change.label));
    const buckets = new Map<DriftState | 'stuck', Change[]>();
    for (const change of changesOf(left, right, versions)) {
      const state = stateOf(change, left, input.cluster, notYet, contract, rules);
      append(buckets, state, change);
    }
    for (const [state, changes] of buckets) {
      mark(left, state === 'stuck' ? 'drifted' : state);
      findings.push(...findingsOf(state, changes, left, right, sides, rules));
    }
  }
  for (const object of matched.onlyLeft) {
    const isNew = input.base !== undefined && !baseByKey.has(objectKey(object));
    const allowed = contract.cover({ cluster: input.cluster, object: objectName(object), path: [] }) !== undefined;
    mark(object, allowed ? 'allowed' : isNew ? 'pending' : 'missing');
    if (!allowed) findings.push(missingFinding(object, isNew, input.cluster, rules));
  }
  const kinds = new Set(input.desired.map((object) => `${groupOf(object.apiVersion)}/${object.kind}/${object.namespace}`));
  const declaredKinds = input.live.filter((object) =>
    kinds.has(`${groupOf(object.apiVersion)}/${object.kind}/${object.namespace}`),
  );
  for (const object of matched.onlyRight) {
    if (!isExtra(object, kinds) || !rules.reportExtra) continue;
    const removed = baseByKey.has(objectKey(object));
    const allowed = contract.cover({ cluster: input.cluster, object: objectName(object), path: [] }) !== undefined;
    mark(object, allowed ? 'allowed' : removed ? 'pending' : 'extra');
    if (!allowed) findings.push(extraFinding(object, removed, input.cluster, rules));
  }
  return {
    findings,
    states,
    movingImages: [...moving],
    coverage: {
      live: declaredKinds.length,
      declared: declaredKinds.length - matched.onlyRight.filter((object) => declaredKinds.includes(object)).length,
    },
  };
}

function stateOf(
  change: Change,
  left: NormalisedObject,
  cluster: string,
  baseLabels: ReadonlySet<string> | undefined,
  contract: Contract,
  rules: ComparisonRules,
): DriftState | 'stuck' {
  const window = rolloutOf(change, left, cluster, rules);
  if (window === 'in-transit' || window === 'stuck') return window;
  if (baseLabels !== undefined && !baseLabels.has(change.label)) return 'pending';
  if (contract.cover({ cluster, object: objectName(left), path: change.leftPath }) !== undefined) return 'allowed';
  return 'drifted';
}

function rolloutOf(
  change: Change,
  left: NormalisedObject,
  cluster: string,
  rules: ComparisonRules,
): ReturnType<typeof rolloutState> {
  for (const rollout of rules.rollouts) {
    if (rollout.object !== objectName(left) || (rollout.cluster !== undefined && rollout.cluster !== cluster)) continue;
    const path = parsePointer(rollout.path);
    if (change.traffic !== undefined) {
      const declared = change.traffic.left.backends.find((each) => within([...each.path, 'weight'], path));
      if (declared === undefined) continue;
      const live = change.traffic.right.backends.find((each) => each.key === declared.key)?.share ?? 0;
      return rolloutState(rollout, live * 100, rules.now);
    }
    if (within(change.leftPath, path) && typeof change.right === 'number') return rolloutState(rollout, change.right, rules.now);
  }
  return undefined;
}

function findingsOf(
  state: DriftState | 'stuck',
  changes: readonly Change[],
  left: NormalisedObject,
  right: NormalisedObject,
  sides: Sides,
  rules: ComparisonRules,
): readonly Finding[] {
  const [first] = changes as readonly [Change, ...Change[]];
  const what = first.traffic === undefined ? first.label.replace(/^\./, '') : `the weights of ${first.traffic.model}`;
  const common = {
    location: left.locate(first.leftPath),
    related: [{ ...right.locate(first.rightPath), message: `${sides.right} has it here` }],
    subject: sides.subject,
  };
  switch (state) {
    case 'drifted': {
      return [...groupBy(changes, (change) => change.rule)].map(([rule, group]) =>
        changeFinding(rule, [...group].sort(gravest), left, right, sides, rules.remark(sides.subject, right)),
      );
    }
    case 'pending':
      return [
        driftFinding('drift-pending', {
          ...common,
          message: `${sides.right} will get ${what} of ${objectName(left)}: ${first.traffic === undefined ? `${show(first.right, 'before')} -> ${show(first.left, 'after')}` : first.traffic.shares.map((each) => `${each.name} ${percent(each.right)} -> ${percent(each.left)}`).join(', ')}${changes.length > 1 ? ` (and ${changes.length - 1} more)` : ''}.`,
        }),
      ];
    case 'in-transit':
      return [
        driftFinding('drift-rollout-in-transit', {
          ...common,
          message: `${sides.right} is on its way with ${what} of ${objectName(left)}${first.traffic === undefined ? '' : `: ${first.traffic.right.backends.map((each) => `${each.name} ${percent(each.share)}`).join(', ')}`}.`,
        }),
      ];
    case 'stuck':
      return [
        driftFinding('drift-rollout-stuck', {
          ...common,
          message: `${sides.right} is stuck with ${what} of ${objectName(left)}${first.traffic === undefined ? '' : ` at ${first.traffic.right.backends.map((each) => `${each.name} ${percent(each.share)}`).join(', ')}`} after its rollout window ended.`,
          fix: 'Finish or roll back the rollout, or move `until` in `drift.rollouts` with a reason in the commit.',
        }),
      ];
    default:
      return [];
  }
}

const GRAVITY: readonly DriftClass[] = ['traffic', 'safety', 'cosmetic'];

function gravest(a: Change, b: Change): number {
  return GRAVITY.indexOf(a.class) - GRAVITY.indexOf(b.class);
}

function missingFinding(object: NormalisedObject, isNew: boolean, cluster: string, rules: ComparisonRules): Finding {
  const name = objectName(object);
  if (isNew)
    return driftFinding('drift-pending', {
      message: `${cluster} does not have ${name} yet, which this change adds.`,
      location: object.locate(['metadata', 'name']),
      subject: cluster,
    });
  const remark = rules.remark(cluster, object);
  return driftFinding('drift-object-missing', {
    message: `${cluster} has no ${name}, which Git declares.${remark === undefined ? '' : ` ${remark}`}`,
    location: object.locate(['metadata', 'name']),
    evidence: { object: name, class: isRouting(object.kind) ? 'traffic' : 'safety' },
    fix: `Apply the overlay of ${cluster}; if the object is gone on purpose, remove it from Git. Check that the snapshot covers ${object.kind} objects in ${object.namespace || 'this scope'}.`,
    subject: cluster,
  });
}

/** Kinds that Git declares in that namespace; not what controllers and Kubernetes itself make. */
function isExtra(object: NormalisedObject, kinds: ReadonlySet<string>): boolean {
  if (!kinds.has(`${groupOf(object.apiVersion)}/${object.kind}/${object.namespace}`)) return false;
  const owners = valueAt(object.raw, ['metadata', 'ownerReferences']);
  if (Array.isArray(owners) && owners.length > 0) return false;
  if (object.kind === 'Secret') return false;
  if (object.kind === 'ConfigMap') {
    const data = object.value['data'];
    return isPolicyBundle(object) || (isObject(data) && Object.keys(data).some((key) => key.endsWith('.rego')));
  }
  return !(object.kind === 'Service' && object.name === 'kubernetes');
}

function extraFinding(object: NormalisedObject, removed: boolean, cluster: string, rules: ComparisonRules): Finding {
  const name = objectName(object);
  const location = object.locate(['metadata', 'name']);
  if (removed)
    return driftFinding('drift-pending', {
      message: `${cluster} still has ${name}, which this change removes.`,
      location,
      subject: cluster,
    });
  const grave = isRouting(object.kind) && rules.blocking.has('traffic');
  const parent = textAt(object.value, ['spec', 'parentRefs', '0', 'name']);
  return driftFinding('drift-object-extra', {
    level: grave ? 'error' : 'warning',
    blocking: grave,
    message: `${cluster} has ${name}, which Git does not declare.${parent === undefined ? '' : ` It takes traffic from ${parent}.`}`,
    location,
    evidence: { object: name, class: isRouting(object.kind) ? 'traffic' : 'cosmetic' },
    fix: 'Delete it in the cluster, or add it to the overlay through review; `drift.allow` takes it with owner, reason and expiry.',
    subject: cluster,
  });
}
