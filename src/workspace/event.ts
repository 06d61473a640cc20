import { ConfigurationError } from '../core/errors.ts';
import { isObject } from '../core/json.ts';

/** What a run compares: base and head, and the pull request when there is one. */
export interface ChangeEvent {
  readonly event: string;
  /** Ref or commit id; undefined: nothing to compare with (first push, schedule, manual run). */
  readonly base: string | undefined;
  readonly head: string;
  readonly pullRequest?: { readonly number: number; readonly fork: boolean; readonly baseRef: string };
}

const ZERO = /^0+$/;

type Payload = Record<string, unknown>;

/**
 * The commits that a GitHub event compares. Payload fields: "Webhook events and payloads" in GitHub's documentation.
 * @throws ConfigurationError for an event it doesn't know (never a silent pass) or a payload that lacks a field
 */
export function changeOfEvent(event: string, payload: unknown, sha: string): ChangeEvent {
  const body = record(payload, event, 'the event payload');
  switch (event) {
    case 'pull_request':
    case 'pull_request_target': {
      const pr = record(body['pull_request'], event, 'pull_request');
      const base = record(pr['base'], event, 'pull_request.base');
      const head = record(pr['head'], event, 'pull_request.head');
      const repo = head['repo'] as Payload | null | undefined;
      return {
        event,
        base: text(base['sha'], event, 'pull_request.base.sha'),
        head: text(head['sha'], event, 'pull_request.head.sha'),
        pullRequest: {
          number: Number(pr['number'] ?? body['number']),
          fork: fromFork(repo, base['repo'] as Payload | null | undefined),
          baseRef: text(base['ref'], event, 'pull_request.base.ref'),
        },
      };
    }
    case 'merge_group': {
      const group = record(body['merge_group'], event, 'merge_group');
      return {
        event,
        base: text(group['base_sha'], event, 'merge_group.base_sha'),
        head: text(group['head_sha'], event, 'merge_group.head_sha'),
      };
    }
    case 'push': {
      const before = text(body['before'], event, 'before');
      const after = text(body['after'], event, 'after');
      if (ZERO.test(after))
        throw new ConfigurationError({
          message: 'the push event deletes a branch: there is nothing to check.',
          fix: 'skip the job with `if: github.event.deleted == false`.',
        });
      // The first push of a branch has an all-zero `before`: nothing to compare with.
      return { event, base: ZERO.test(before) ? undefined : before, head: after };
    }
    case 'schedule':
    case 'workflow_dispatch':
      return { event, base: undefined, head: sha };
    default:
      throw new ConfigurationError({
        message: `mixgate does not know the event ${JSON.stringify(event)}.`,
        expected: 'pull_request, merge_group, push, schedule or workflow_dispatch',
        fix: 'run the job on one of these events.',
      });
  }
}

/**
 * Whether the head is in another repository than the base: its token can only read. `head.repo.fork` alone does not say that, because a
 * repository that is a fork itself has it in pull requests of its own. `head.repo` is null when the fork was deleted.
 */
function fromFork(head: Payload | null | undefined, base: Payload | null | undefined): boolean {
  if (head === null) return true;
  const [from, into] = [head?.['full_name'], base?.['full_name']];
  return typeof from === 'string' && typeof into === 'string' ? from !== into : head?.['fork'] === true;
}

function record(value: unknown, event: string, name: string): Payload {
  if (isObject(value)) return value;
  throw new ConfigurationError({
    message: `the ${event} event has no ${name}.`,
    expected: 'the event file that GitHub writes (GITHUB_EVENT_PATH)',
  });
}

function text(value: unknown, event: string, name: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new ConfigurationError({
    message: `the ${event} event has no ${name}.`,
    expected: 'the event file that GitHub writes (GITHUB_EVENT_PATH)',
  });
}
