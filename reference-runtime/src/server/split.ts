// Which arm of a split serves a request: weighted rendezvous hashing, so that a key keeps its arm, and moves as little as weights do.
import { hash } from 'node:crypto';
import type { Arm, Split } from '../policy/policy.ts';

/** A number in (0, 1), the same for the same parts: the first 52 bits of SHA-256 over the parts, each ended by a zero byte. */
function uniform(...parts: string[]): number {
  const digest = hash('sha256', parts.map((part) => `${part}\0`).join(''), 'hex');
  return (Number.parseInt(digest.slice(0, 13), 16) + 0.5) / 2 ** 52;
}

/**
 * The arm of `split.key`, undefined when every weight is 0. Each arm draws -ln(u)/weight with u from (split, arm, key) and the least
 * draw wins: a minimum of exponentials with these rates falls on an arm in proportion to its weight. This is rendezvous hashing
 * (Thaler and Ravishankar, IEEE/ACM Transactions on Networking 6(1), 1998) weighted by the logarithmic method (Schindelhauer and
 * Schomaker, SPAA 2005). A key leaves arm A for arm B only when B's weight grew relative to A's; the order of arms plays no part.
 */
export function armOf(split: Split): Arm | undefined {
  let chosen: Arm | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const arm of split.arms) {
    if (arm.weight <= 0) continue;
    const draw = -Math.log(uniform(split.id, arm.id, split.key)) / arm.weight;
    if (draw < least) {
      least = draw;
      chosen = arm;
    }
  }
  return chosen;
}

/** Whether a request is one of a share: by its id, so that a log can be checked against it. */
export function inShare(purpose: string, id: string, share: number): boolean {
  return uniform(purpose, id) < share;
}
