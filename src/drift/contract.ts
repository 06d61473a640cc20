import type { Path } from '../config/document.ts';
import type { Finding, Location } from '../core/finding.ts';
import { parsePointer, within } from '../kubernetes/path.ts';
import { driftFinding } from './rules.ts';
import { instantMs } from './time.ts';

/** A difference somebody answers for, until a date. */
export interface Allowance {
  readonly cluster?: string;
  /** Kind/namespace/name; `*` stands for any text. */
  readonly object?: string;
  /** JSON pointer; `*` stands for any one step. */
  readonly path: string;
  readonly owner: string;
  readonly reason: string;
  /** ISO date, the last day (UTC) on which it holds. */
  readonly expires: string;
  readonly location: Location;
}

/** Weights on their way from one value to another, until an instant. */
export interface Rollout {
  readonly cluster?: string;
  readonly object: string;
  /** JSON pointer of the weight in Git's object. */
  readonly path: string;
  /** Percent of the rule's traffic for a route's weight, else the plain value. */
  readonly from: number;
  readonly to: number;
  readonly steps?: readonly number[];
  /** ISO 8601 instant. */
  readonly until: string;
  readonly location: Location;
}

export interface Target {
  readonly cluster: string;
  readonly object: string;
  readonly path: Path;
}

/** The allowances of one run, with how much each of them hid. */
export class Contract {
  readonly #allowances: readonly Allowance[];
  readonly #today: string;
  readonly #hidden = new Map<Allowance, number>();

  constructor(allowances: readonly Allowance[], now: string) {
    this.#allowances = allowances;
    this.#today = now.slice(0, 10);
  }

  /** The allowance that covers a difference; the difference counts as hidden by it. */
  cover(target: Target): Allowance | undefined {
    const found = this.#allowances.find((each) => each.expires >= this.#today && coversTarget(each, target));
    if (found !== undefined) this.#hidden.set(found, (this.#hidden.get(found) ?? 0) + 1);
    return found;
  }

  hidden(allowance: Allowance): number {
    return this.#hidden.get(allowance) ?? 0;
  }

  /** Findings about the allowances themselves. `judged`: the clusters that could be compared; of the others nothing is known. */
  findings(judged: ReadonlySet<string>): readonly Finding[] {
    return this.#allowances.flatMap((each) => {
      const subject = [each.cluster ?? '*', each.object ?? '*', each.path].join(' ');
      if (each.expires < this.#today) {
        return [
          driftFinding('drift-allowance-expired', {
            message: `The allowance for ${each.path} (${each.owner}) expired on ${each.expires} and no longer hides anything.`,
            location: each.location,
            subject,
            fix: `Bring the cluster back to Git and delete the entry, or have ${each.owner} extend it with a new reason.`,
          }),
        ];
      }
      const known = each.cluster === undefined ? judged.size > 0 : judged.has(each.cluster);
      if (this.hidden(each) > 0 || !known) return [];
      return [
        driftFinding('drift-allowance-unused', {
          message: `The allowance for ${each.path} (${each.owner}) hides no difference.`,
          location: each.location,
          subject,
          fix: 'Delete it, or correct its cluster, object or path.',
        }),
      ];
    });
  }

  entries(): readonly Allowance[] {
    return this.#allowances;
  }
}

function coversTarget(allowance: Allowance, target: Target): boolean {
  if (allowance.cluster !== undefined && allowance.cluster !== target.cluster) return false;
  if (allowance.object !== undefined && !matches(allowance.object, target.object)) return false;
  return within(target.path, parsePointer(allowance.path));
}

/** `*` stands for any text. Split and scanned, so that a hostile pattern costs no backtracking. */
function matches(pattern: string, text: string): boolean {
  const parts = pattern.split('*');
  if (parts.length === 1) return pattern === text;
  let at = parts[0]!.length;
  if (!text.startsWith(parts[0]!)) return false;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return text.length - parts.at(-1)!.length >= at && text.endsWith(parts.at(-1)!);
}

export type RolloutState = 'in-transit' | 'stuck' | 'outside' | undefined;

/** Where a live value stands in a rollout window. Half a percent of slack: weights are whole numbers. */
export function rolloutState(rollout: Rollout, value: number, now: string): RolloutState {
  if (Math.abs(value - rollout.to) <= 0.5 && (instantMs(now) ?? 0) > (instantMs(rollout.until) ?? 0)) return undefined;
  const [low, high] = [Math.min(rollout.from, rollout.to), Math.max(rollout.from, rollout.to)];
  const points = [rollout.from, ...(rollout.steps ?? []), rollout.to];
  const inside =
    rollout.steps === undefined
      ? value >= low - 0.5 && value <= high + 0.5
      : points.some((point) => Math.abs(point - value) <= 0.5);
  if (!inside) return 'outside';
  return (instantMs(now) ?? 0) > (instantMs(rollout.until) ?? 0) ? 'stuck' : 'in-transit';
}
