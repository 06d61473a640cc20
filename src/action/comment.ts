import type { Report } from '../core/report.ts';
import { commentMarker, renderComment } from '../report/comment.ts';
import type { LinkOptions } from '../report/markdown-parts.ts';
import { type GitHubComments, type IssueComment, retrying } from './github.ts';
import type { CommentMode } from './inputs.ts';

export interface StickyOptions extends LinkOptions {
  readonly mode: CommentMode;
  /** Identifies the comment: workflow, job and tag. */
  readonly key: string;
  readonly signal: AbortSignal;
}

/** Whether this report starts a comment where there is none. An existing one is updated in any case. */
function startsComment(mode: CommentMode, report: Report): boolean {
  switch (mode) {
    case 'never':
      return false;
    case 'on-failure':
      return report.verdict !== 'pass' && report.verdict !== 'warn';
    case 'changes':
      return report.verdict !== 'pass' || report.findings.length > 0;
    case 'always':
      return true;
  }
}

/**
 * Keeps one comment on the pull request: found by its hidden first line and by its author, then edited, else created.
 * After an ambiguous failure the search runs again, so that a retry can't post twice.
 * @returns its address, or undefined when there was nothing to write
 */
export async function stickyComment(
  report: Report,
  comments: GitHubComments,
  options: StickyOptions,
): Promise<string | undefined> {
  if (options.mode === 'never') return undefined;
  const marker = commentMarker(options.key);
  return retrying(async () => {
    const earlier = await find(comments, marker);
    if (earlier === undefined)
      return startsComment(options.mode, report) ? comments.create(renderComment(report, { ...options, marker })) : undefined;
    const body = renderComment(report, { ...options, marker, resolved: saidFailure(earlier.body) });
    return withoutRun(earlier.body) === withoutRun(body) ? earlier.url : comments.update(earlier.id, body);
  }, options.signal);
}

async function find(comments: GitHubComments, marker: string): Promise<IssueComment | undefined> {
  let me: { readonly login: string | undefined } | undefined;
  for await (const comment of comments.list()) {
    if (!comment.body.startsWith(marker)) continue;
    // Anybody may write the marker: only our own comment is edited. A user can't have the type Bot.
    me ??= { login: await comments.whoAmI() };
    if (me.login === undefined ? comment.authorIsBot : comment.authorLogin === me.login) return comment;
  }
  return undefined;
}

function saidFailure(body: string): boolean {
  return /^### \S+ mixgate: (?:fail|error|inconclusive)\b/m.test(body.slice(0, 400));
}

/** The link to the run differs each time and is no reason to edit. */
function withoutRun(body: string): string {
  return body
    .replaceAll('\r\n', '\n')
    .replace(/\[run\]\([^)]*\)/, '')
    .trim();
}
