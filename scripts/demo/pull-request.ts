import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FleetRepo } from './fleet.ts';
import { ROOT, run } from './shell.ts';

export interface CheckedPullRequest {
  readonly exitCode: number;
  readonly verdict: string;
  readonly report: DemoReport;
  readonly html: string;
}

/** The part of schemas/report.schema.json that the demo prints. */
export interface DemoReport {
  readonly verdict: string;
  readonly gates: readonly {
    readonly id: string;
    readonly verdict: string;
    readonly reason: string;
    readonly findings: readonly string[];
  }[];
  readonly findings: readonly {
    readonly id: string;
    readonly ruleId: string;
    readonly blocking: boolean;
    readonly message: string;
    readonly fix?: string;
    readonly location?: { readonly file: string; readonly line?: number };
  }[];
}

/** Runs the built Action as a GitHub runner would: inputs and event in environment variables, outputs in files. */
export async function checkPullRequest(repo: FleetRepo, number: number, work: string): Promise<CheckedPullRequest> {
  const [base, head] = [await repo.git('rev-parse', 'origin/main'), await repo.git('rev-parse', 'HEAD')];
  const dir = join(work, `pr-${number}`);
  await mkdir(join(dir, 'temp'), { recursive: true });
  const file = (name: string): string => join(dir, name);
  for (const name of ['output', 'summary.md', 'env', 'state', 'path']) await writeFile(file(name), '');
  const pullRequest = {
    number,
    base: { sha: base, ref: 'main' },
    head: { sha: head, ref: `change-${number}`, repo: { fork: false } },
  };
  await writeFile(file('event.json'), JSON.stringify({ number, pull_request: pullRequest }));
  const ran = await run(process.execPath, [join(ROOT, 'dist/action.js')], {
    cwd: repo.dir,
    env: {
      GITHUB_ACTIONS: 'true',
      GITHUB_EVENT_NAME: 'pull_request',
      GITHUB_EVENT_PATH: file('event.json'),
      GITHUB_WORKSPACE: repo.dir,
      GITHUB_REPOSITORY: 'fleet/gitops',
      GITHUB_SHA: head,
      GITHUB_REF: `refs/pull/${number}/merge`,
      GITHUB_BASE_REF: 'main',
      GITHUB_HEAD_REF: `change-${number}`,
      GITHUB_WORKFLOW: 'mixgate',
      GITHUB_JOB: 'check',
      GITHUB_RUN_ID: String(number),
      GITHUB_RUN_ATTEMPT: '1',
      GITHUB_SERVER_URL: 'https://github.com',
      GITHUB_OUTPUT: file('output'),
      GITHUB_STEP_SUMMARY: file('summary.md'),
      GITHUB_ENV: file('env'),
      GITHUB_STATE: file('state'),
      GITHUB_PATH: file('path'),
      RUNNER_TEMP: file('temp'),
      RUNNER_OS: 'Linux',
      RUNNER_ARCH: 'X64',
      INPUT_COMMENT: 'never',
    },
  });
  const outputs = parseOutputs(await readFile(file('output'), 'utf8'));
  const reportPath = outputs.get('report-path');
  if (reportPath === undefined)
    throw new Error(`the Action wrote no report (exit ${ran.code}):\n${ran.stdout.slice(-3000)}${ran.stderr.slice(-2000)}`);
  return {
    exitCode: ran.code,
    verdict: outputs.get('verdict') ?? '?',
    report: JSON.parse(await readFile(reportPath, 'utf8')) as DemoReport,
    html: outputs.get('html-path') ?? '',
  };
}

/** `name=value` and `name<<DELIMITER` blocks of a GITHUB_OUTPUT file. */
function parseOutputs(text: string): Map<string, string> {
  const outputs = new Map<string, string>();
  const lines = text.split('\n');
  for (let index = 0; index < lines.length; index += 1) {
    const block = /^(?<name>[^=<]+)<<(?<end>.+)$/.exec(lines[index]!);
    const single = /^(?<name>[^=]+)=(?<value>.*)$/.exec(lines[index]!);
    if (block !== null) {
      const end = lines.indexOf(block.groups!['end']!, index + 1);
      outputs.set(block.groups!['name']!, lines.slice(index + 1, end).join('\n'));
      index = end;
    } else if (single !== null) outputs.set(single.groups!['name']!, single.groups!['value']!);
  }
  return outputs;
}
