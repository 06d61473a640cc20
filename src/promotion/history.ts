import { isMixgateError } from '../core/errors.ts';
import type { Git } from '../workspace/git.ts';
import { type Pin, parsePin } from './pin.ts';
import { type PromotionTrailers, parseTrailers } from './trailers.ts';

export interface HistoryEntry extends PromotionTrailers {
  /** Commit on the environment's branch. */
  readonly commit: string;
  /** Committer date, ISO 8601. */
  readonly date: string;
}

const MAX_COMMITS = 2000;

/**
 * Promotions and rollbacks of an environment, newest first, from commit trailers alone. A commit counts only when the pin it leaves
 * behind is the revision that its trailers name, so that a message alone can't invent a promotion.
 * @param path the pin, from the root of the repository
 */
export async function readHistory(git: Git, tip: string, path: string, environment: string): Promise<readonly HistoryEntry[]> {
  const out = await git.raw([
    'log',
    `--max-count=${MAX_COMMITS}`,
    '--format=%H%x09%cI%x09%(trailers:only,unfold)%x00',
    tip,
    '--',
    path,
  ]);
  const entries = out.split('\0').flatMap((record) => {
    const [commit, date, ...rest] = record.replace(/^\n/, '').split('\t');
    const trailers = parseTrailers(rest.join('\t'));
    return commit === undefined || date === undefined || trailers?.environment !== environment
      ? []
      : [{ ...trailers, commit, date }];
  });
  const blobs = await git.blobs(entries.map((entry) => `${entry.commit}:${path}`));
  return entries.filter((entry, index) => pinOf(blobs[index], path, environment)?.revision === entry.promotedFrom);
}

function pinOf(blob: Buffer | undefined, path: string, environment: string): Pin | undefined {
  if (blob === undefined) return undefined;
  try {
    return parsePin(blob.toString('utf8'), path, environment);
  } catch (error) {
    if (isMixgateError(error)) return undefined;
    throw error;
  }
}

/** The newest state before the present one whose evidence passed and that isn't in quarantine. */
export function lastGood(history: readonly HistoryEntry[], pin: Pin): HistoryEntry | undefined {
  const barred = new Set(pin.quarantine?.map(({ revision }) => revision));
  return history.find(
    (entry) =>
      entry.promotedFrom !== pin.revision &&
      (entry.verdict === 'pass' || entry.verdict === 'warn') &&
      !barred.has(entry.promotedFrom),
  );
}
