import type { Path } from '../config/document.ts';
import type { Json } from '../core/json.ts';
import { podContainers } from '../kubernetes/argv.ts';
import { isMoving, parseImage } from '../kubernetes/image.ts';
import type { NormalisedObject } from '../kubernetes/normalise.ts';
import { groupOf, type KubeObject, objectKey } from '../kubernetes/object.ts';
import { textAt, within } from '../kubernetes/path.ts';
import { classify, type DriftClass } from './classify.ts';
import { type Difference, differences, pair } from './difference.ts';
import type { DriftRule } from './rules.ts';
import { type RuleShare, ruleShares, type ShareChange, shareChanges } from './traffic.ts';

/** One thing that differs between two versions of an object, with what it can do. */
export interface Change {
  readonly rule: DriftRule;
  readonly class: DriftClass;
  /** Tells changes of one object apart; stable when list members move. */
  readonly label: string;
  readonly leftPath: Path;
  readonly rightPath: Path;
  readonly left: Json | undefined;
  readonly right: Json | undefined;
  /** For a change of traffic: what the rule serves and how its shares moved. */
  readonly traffic?: {
    readonly model: string;
    readonly shares: readonly ShareChange[];
    readonly right: RuleShare;
    readonly left: RuleShare;
  };
  /** Only the right side has it, and nobody knows the defaults of this kind: it may be one. */
  readonly maybeDefault?: true;
}

export interface Versions {
  readonly left: ReadonlyMap<string, string>;
  readonly right: ReadonlyMap<string, string>;
}

/** Changes from `left` to `right`; shares of traffic are one change a rule, whatever its weights and order. */
export function changesOf(left: NormalisedObject, right: NormalisedObject, versions: Versions): readonly Change[] {
  const traffic = trafficChanges(left, right, versions);
  const covered = (difference: Difference): boolean =>
    traffic.some(
      (change) =>
        within(difference.leftPath, refsPath(change.traffic!.left, left.kind)) ||
        within(difference.rightPath, refsPath(change.traffic!.right, right.kind)),
    );
  const fields = differences(left.kind, left.value, right.value)
    .filter((difference) => !covered(difference))
    .map((difference): Change => {
      const unknown = difference.left === undefined && !left.defaultsKnown && difference.label.startsWith('.spec');
      return { ...difference, ...classify(left, difference), ...(unknown ? { maybeDefault: true as const } : {}) };
    });
  return [...traffic, ...fields];
}

function refsPath(rule: RuleShare, kind: string): Path {
  return [...rule.path, kind === 'VirtualService' ? 'route' : 'backendRefs'];
}

function trafficChanges(left: NormalisedObject, right: NormalisedObject, versions: Versions): readonly Change[] {
  const [before, after] = [ruleShares(left, versions.left), ruleShares(right, versions.right)];
  const pairs = pair(
    before.map((rule) => rule.ruleKey),
    after.map((rule) => rule.ruleKey),
    true,
  );
  return pairs.flatMap(({ leftIndex, rightIndex }) => {
    const [a, b] = [
      leftIndex === undefined ? undefined : before[leftIndex],
      rightIndex === undefined ? undefined : after[rightIndex],
    ];
    if (a === undefined || b === undefined) return [];
    const shares = shareChanges(a, b);
    if (shares.length === 0) return [];
    const largest = [...shares].sort(
      (x, y) => Math.abs(y.right - y.left) - Math.abs(x.right - x.left) || y.right - y.left - (x.right - x.left),
    )[0]!;
    return [
      {
        rule: 'drift-traffic-changed' as const,
        class: 'traffic' as const,
        label: `.spec.rules[${leftIndex}].backendRefs`,
        leftPath: largest.leftPath,
        rightPath: largest.rightPath,
        left: a.backends.map((each) => ({ name: each.name, share: each.share })),
        right: b.backends.map((each) => ({ name: each.name, share: each.share })),
        traffic: { model: a.model, shares, left: a, right: b },
      },
    ];
  });
}

export interface Matched {
  readonly pairs: readonly { readonly left: NormalisedObject; readonly right: NormalisedObject }[];
  readonly onlyLeft: readonly NormalisedObject[];
  readonly onlyRight: readonly NormalisedObject[];
}

/** Pairs objects by identity. A manifest without a namespace also matches the one object of that kind and name that has one. */
export function matchObjects(left: readonly NormalisedObject[], right: readonly NormalisedObject[]): Matched {
  const open = new Map(right.map((object) => [objectKey(object), object]));
  const pairs: { left: NormalisedObject; right: NormalisedObject }[] = [];
  const onlyLeft: NormalisedObject[] = [];
  for (const object of left) {
    const found = open.get(objectKey(object)) ?? sameNameElsewhere(object, [...open.values()]);
    if (found === undefined) onlyLeft.push(object);
    else {
      open.delete(objectKey(found));
      pairs.push({ left: object, right: withNamespace(found, object) });
    }
  }
  return { pairs, onlyLeft, onlyRight: [...open.values()] };
}

function sameNameElsewhere(object: KubeObject, candidates: readonly NormalisedObject[]): NormalisedObject | undefined {
  const found = candidates.filter(
    (each) =>
      each.kind === object.kind &&
      each.name === object.name &&
      groupOf(each.apiVersion) === groupOf(object.apiVersion) &&
      (object.namespace === '' || each.namespace === ''),
  );
  return found.length === 1 ? found[0] : undefined;
}

/** Both sides say the namespace, or neither: where only one does, that is no difference. */
function withNamespace(object: NormalisedObject, like: NormalisedObject): NormalisedObject {
  if (object.namespace === like.namespace) return object;
  const { namespace: _namespace, ...metadata } = object.value['metadata'] as { readonly [key: string]: Json };
  return {
    ...object,
    value: { ...object.value, metadata: like.namespace === '' ? metadata : { ...metadata, namespace: like.namespace } },
  };
}

/** Images that both sides name by a tag that moves: equal text proves nothing. */
export function movingImages(left: NormalisedObject, right: NormalisedObject): readonly string[] {
  const images = (object: NormalisedObject): readonly string[] =>
    podContainers(object.value).flatMap((container) => textAt(container, ['image']) ?? []);
  const others = images(right);
  return images(left).filter((image) => isMoving(parseImage(image)) && others.includes(image));
}
