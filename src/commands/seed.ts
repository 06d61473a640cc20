/** A 32-bit seed from the first hex digits of a commit id, so that one commit always gives the same report; 1 without a commit. */
export function seedFromCommit(commit: string | undefined): number {
  return commit === undefined ? 1 : Number.parseInt(commit.slice(0, 8), 16) >>> 0;
}
