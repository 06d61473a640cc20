import { type TestRepo, testRepo } from '../support/repo.ts';

export interface Change extends Disposable {
  readonly repo: TestRepo;
  readonly base: string;
  readonly head: string;
}

/** A small GitOps repository whose telemetry gate is real; the change breaks `broken` of its metrics. */
export function telemetryChange(
  options: { readonly metrics?: number; readonly broken?: number; readonly brief?: string; readonly folder?: string } = {},
): Change {
  const { metrics = 3, broken = 1, brief = 'Time a request waits.', folder = '' } = options;
  const at = (path: string): string => (folder === '' ? path : `${folder}/${path}`);
  const repo = testRepo();
  const base = repo.commit({
    [at('mixgate.yaml')]: 'version: 1\ntelemetry:\n  registries:\n    - path: telemetry/registry\n      owned: true\n',
    [at('telemetry/registry/queue.yaml')]: registry(metrics, 0, brief),
  });
  repo.git('checkout', '-q', '-b', 'change');
  const head = repo.commit(
    { [at('telemetry/registry/queue.yaml')]: registry(metrics, broken, brief), 'README.md': 'changed\n' },
    'break it',
  );
  return { repo, base, head, [Symbol.dispose]: () => repo[Symbol.dispose]() };
}

function registry(count: number, broken: number, brief: string): string {
  const groups = Array.from(
    { length: count },
    (_, index) => `  - id: metric.acme.queue.wait.w${index}
    type: metric
    metric_name: acme.queue.wait.w${index}
    brief: ${JSON.stringify(brief)}
    instrument: histogram
    unit: ${index < broken ? 'ms' : 's'}
    stability: stable
`,
  );
  return `groups:\n${groups.join('')}`;
}

/** The payload that GitHub sends for a pull request, the fields that are read. */
export function pullRequestPayload(change: Change, more: { readonly fork?: boolean } = {}): object {
  return {
    number: 7,
    pull_request: {
      number: 7,
      base: { sha: change.base, ref: 'main' },
      head: { sha: change.head, ref: 'change', repo: { fork: more.fork ?? false } },
    },
  };
}
