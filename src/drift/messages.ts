import type { Finding, Location } from '../core/finding.ts';
import type { Json } from '../core/json.ts';
import { show } from '../kubernetes/mask.ts';
import type { NormalisedObject } from '../kubernetes/normalise.ts';
import { objectName } from '../kubernetes/object.ts';
import type { Change } from './changes.ts';
import type { DriftClass } from './classify.ts';
import { describeManager, managerOf } from './provenance.ts';
import { type DriftRule, driftFinding } from './rules.ts';
import { percent, points } from './traffic.ts';

/** Who the two sides are, for sentences: Git and a cluster, or two files. */
export interface Sides {
  readonly left: string;
  readonly right: string;
  /** Subject of the findings. */
  readonly subject: string;
  readonly blocking: ReadonlySet<DriftClass>;
}

const MAX_LISTED = 20;

/** One finding for the changes of one object under one rule. */
export function changeFinding(
  rule: DriftRule,
  changes: readonly Change[],
  left: NormalisedObject,
  right: NormalisedObject,
  sides: Sides,
  remark?: string,
): Finding {
  const [first] = changes as readonly [Change, ...Change[]];
  const grave = changes.some((change) => sides.blocking.has(change.class) && change.maybeDefault !== true);
  const location = placeOf(right, first.rightPath, first);
  const manager = managerOf(right.raw, first.rightPath);
  const more =
    changes.length > 1 ? ` ${changes.length - 1} more ${changes.length === 2 ? 'field differs' : 'fields differ'}.` : '';
  return driftFinding(rule, {
    level: grave ? 'error' : 'warning',
    blocking: grave,
    message: [
      sentence(first, right, sides) + more,
      remark,
      manager === undefined ? undefined : `The field was ${describeManager(manager)}.`,
    ]
      .filter((part) => part !== undefined)
      .join(' '),
    location,
    related: [{ ...placeOf(left, first.leftPath, first), message: `${sides.left} declares it here` }],
    evidence: {
      object: objectName(right),
      class: changes.some((change) => change.class === 'traffic')
        ? 'traffic'
        : changes.some((change) => change.class === 'safety')
          ? 'safety'
          : 'cosmetic',
      changes: changes.slice(0, MAX_LISTED).map(evidenceOf),
      ...(changes.length > MAX_LISTED ? { more: changes.length - MAX_LISTED } : {}),
      ...(manager === undefined
        ? {}
        : {
            manager: manager.manager,
            managerTime: manager.time ?? '',
            managerOwns: manager.exact ? 'this field' : 'a list or map that holds it',
          }),
    },
    fix: fixOf(rule, first, sides),
    subject: sides.subject,
  });
}

function sentence(change: Change, object: NormalisedObject, sides: Sides): string {
  const title = objectName(object);
  if (change.traffic !== undefined) {
    const main = change.traffic.shares.find((each) => each.rightPath === change.rightPath) ?? change.traffic.shares[0]!;
    const serves = main.serves === undefined ? '' : ` (${main.serves})`;
    return `${sides.right} sends ${percent(main.right)} of ${change.traffic.model} traffic to ${main.name}${serves}, ${sides.left} says ${percent(main.left)} (${points(main.right - main.left)}).`;
  }
  const path = change.label.replace(/^\./, '');
  if (change.rule === 'drift-policy-changed')
    return `${sides.right} holds another ${path.replace(/^data\.?/, '')} in ${title} than ${sides.left}.`;
  const hint = change.maybeDefault === true ? ' (maybe a default: its CRD is not in drift.crds)' : '';
  const [before, after] = [show(change.left, 'before'), show(change.right, 'after')];
  if (change.left === undefined)
    return `${title} in ${sides.right} has ${path} = ${after}, which ${sides.left} does not declare${hint}.`;
  if (change.right === undefined) return `${title} in ${sides.right} lacks ${path}, ${sides.left} says ${before}.`;
  return `${title} in ${sides.right} has ${path} = ${after}, ${sides.left} says ${before}.`;
}

function evidenceOf(change: Change): Json {
  if (change.traffic !== undefined) {
    return {
      path: change.label,
      shares: change.traffic.shares.map((each) => ({
        backend: each.name,
        ...(each.serves === undefined ? {} : { serves: each.serves }),
        declaredPercent: round(each.left * 100),
        livePercent: round(each.right * 100),
        deltaPoints: round((each.right - each.left) * 100),
      })),
    };
  }
  return { path: change.label, class: change.class, before: show(change.left, 'before'), after: show(change.right, 'after') };
}

function round(value: number): number {
  return Number(value.toFixed(4));
}

function fixOf(rule: DriftRule, change: Change, sides: Sides): string {
  const what =
    rule === 'drift-traffic-changed'
      ? 'the weights'
      : rule === 'drift-model-changed'
        ? 'the model'
        : rule === 'drift-policy-changed'
          ? 'the policy'
          : 'the field';
  if (sides.left !== 'Git') return `Bring ${sides.left} and ${sides.right} to the same value of ${what}.`;
  return change.class === 'cosmetic'
    ? `Apply the overlay again, or write what should be there into it; a difference that is meant goes into \`drift.allow\` with owner, reason and expiry.`
    : `Apply the overlay again to bring back ${what} of Git, or commit what ${sides.right} runs through review; a rollout in progress is declared in \`drift.rollouts\`.`;
}

/** The place of a field; a flag of a model server is one word of `args`. */
function placeOf(object: NormalisedObject, path: readonly (string | number)[], change?: Pick<Change, 'label'>): Location {
  const args = path.indexOf('args');
  const flag = path[args + 1];
  if (args !== -1 && typeof flag === 'string' && change !== undefined) {
    const words = path
      .slice(0, args + 1)
      .reduce<unknown>((value, step) => (value as Record<string | number, unknown> | undefined)?.[step], object.raw);
    const index = Array.isArray(words)
      ? words.findIndex(
          (word) => typeof word === 'string' && word.replace(/^--?/, '').replaceAll('_', '-').split('=')[0] === flag,
        )
      : -1;
    if (index !== -1) return object.locate([...path.slice(0, args + 1), index]);
  }
  return object.locate(path);
}
