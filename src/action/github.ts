import { setTimeout as delay } from 'node:timers/promises';

/** The part of a comment that is needed to recognise it. */
export interface IssueComment {
  readonly id: number;
  readonly body: string;
  readonly authorLogin: string | undefined;
  readonly authorIsBot: boolean;
  readonly url: string;
}

/** What is needed of GitHub: comments of one pull request. */
export interface GitHubComments {
  /** Newest pages last; stops when the reader does. */
  list(): AsyncIterable<IssueComment>;
  create(body: string): Promise<string>;
  update(id: number, body: string): Promise<string>;
  /** Who the token is; undefined for installation tokens (GITHUB_TOKEN among them), which may not ask. */
  whoAmI(): Promise<string | undefined>;
}

export interface GitHubOptions {
  readonly token: string;
  readonly owner: string;
  readonly repo: string;
  readonly number: number;
  readonly signal: AbortSignal;
}

const REQUEST_TIMEOUT_MS = 15_000;
const MAX_PAGES = 30;

/** Through @actions/github, which honours GITHUB_API_URL and proxies; loaded here because it reads the event file when loaded. */
export async function gitHubComments(options: GitHubOptions): Promise<GitHubComments> {
  const { getOctokit } = await import('@actions/github');
  const octokit = getOctokit(options.token, { userAgent: 'mixgate' });
  const { owner, repo, number } = options;
  const request = () => ({ signal: AbortSignal.any([options.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]) });
  return {
    async *list() {
      for (let page = 1; page <= MAX_PAGES; page++) {
        const { data } = await octokit.rest.issues.listComments({
          owner,
          repo,
          issue_number: number,
          per_page: 100,
          page,
          request: request(),
        });
        for (const { id, body, user, html_url: url } of data)
          yield { id, body: body ?? '', authorLogin: user?.login, authorIsBot: user?.type === 'Bot', url };
        if (data.length < 100) return;
      }
    },
    create: async (body) =>
      (await octokit.rest.issues.createComment({ owner, repo, issue_number: number, body, request: request() })).data.html_url,
    update: async (id, body) =>
      (await octokit.rest.issues.updateComment({ owner, repo, comment_id: id, body, request: request() })).data.html_url,
    async whoAmI() {
      if (options.token.startsWith('ghs_')) return undefined;
      try {
        return (await octokit.rest.users.getAuthenticated({ request: request() })).data.login;
      } catch (error) {
        if (statusOf(error) === 401 || statusOf(error) === 403) return undefined;
        throw error;
      }
    },
  };
}

/** HTTP status of a failed request; undefined when there was no answer. */
export function statusOf(error: unknown): number | undefined {
  const status = (error as { status?: unknown } | undefined)?.status;
  return typeof status === 'number' ? status : undefined;
}

/** Pauses between attempts; their number bounds the retries. */
const RETRY_AFTER_MS = [500, 2_000];

/** Runs `attempt` again after an answer that may pass: no answer, 429, 5xx, or 403 with `retry-after` (a secondary rate limit). */
export async function retrying<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let tried = 0; ; tried++) {
    try {
      return await attempt();
    } catch (error) {
      const wait = RETRY_AFTER_MS[tried];
      if (wait === undefined || signal.aborted || !mayPass(error)) throw error;
      await delay(Math.max(wait, retryAfterMs(error)), undefined, { signal });
    }
  }
}

function mayPass(error: unknown): boolean {
  const status = statusOf(error);
  // Octokit gives network failures the status 500.
  if (status === undefined) return true;
  return status === 429 || status >= 500 || (status === 403 && retryAfterMs(error) > 0);
}

function retryAfterMs(error: unknown): number {
  const headers = (error as { response?: { headers?: Record<string, unknown> } } | undefined)?.response?.headers;
  const seconds = Number(headers?.['retry-after']);
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1_000, 10_000) : 0;
}
