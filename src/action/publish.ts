import { mkdirSync, realpathSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import * as core from '@actions/core';
import { filesOfFindings, rulesOfFindings } from '../commands/report-sources.ts';
import { messageOf } from '../core/errors.ts';
import type { Report } from '../core/report.ts';
import type { ExitPolicy } from '../core/verdict.ts';
import { renderAnnotations } from '../report/annotations.ts';
import { oneLine, withoutCommands } from '../report/escape.ts';
import { type RenderOptions, render } from '../report/index.ts';
import { countEffects, describeCounts } from '../report/view.ts';
import { writeWhole } from '../workspace/write-whole.ts';
import { stickyComment } from './comment.ts';
import { gitHubComments, statusOf } from './github.ts';
import type { ActionRun, Surroundings } from './surroundings.ts';

/** Every output of action.yml. */
export const OUTPUTS = [
  'verdict',
  'failed-count',
  'warned-count',
  'report-path',
  'sarif-path',
  'summary-path',
  'html-path',
] as const;
type OutputName = (typeof OUTPUTS)[number];

/**
 * Publishes a verdict that stands: report.json, outputs, job summary, annotations, SARIF, HTML, comment, in this order.
 * A reporter that fails is a warning; it changes neither the verdict nor what the others do.
 */
export async function publish(report: Report, around: Surroundings, run: ActionRun): Promise<void> {
  const counts = countEffects(report.findings);
  setOutput('verdict', report.verdict);
  setOutput('failed-count', counts.blocks);
  setOutput('warned-count', counts.warns);
  const options = renderOptions(report, around, run.env);
  const dir = await tryTo('the report folder', () => reportDir(around, run.env));
  const write = async (name: string, output: OutputName, text: () => Promise<string>): Promise<void> => {
    if (dir === undefined) return;
    await tryTo(name, async () => {
      const file = join(dir, name);
      await writeWhole(file, await text());
      setOutput(output, file);
    });
  };
  await write('report.json', 'report-path', () => render('json', report, options));
  process.stdout.write((await tryTo('the log', () => render('text', report, { width: 120 }))) ?? '');
  const summary = await tryTo('the job summary', () => render('markdown', report, options));
  if (summary !== undefined) {
    await write('summary.md', 'summary-path', async () => summary);
    await tryTo('the job summary', () => core.summary.addRaw(summary, true).write());
  }
  await tryTo('the annotations', async () => {
    process.stdout.write(renderAnnotations(report, { pathPrefix: around.pathPrefix, changed: around.changed }));
  });
  await write('mixgate.sarif', 'sarif-path', async () => {
    const files = around.tree === undefined ? undefined : await filesOfFindings(report, around.tree).catch(() => undefined);
    return render('sarif', report, { ...options, files, rules: await rulesOfFindings(report) });
  });
  await write('report.html', 'html-path', () => render('html', report, options));
  if (!run.signal.aborted) await comment(report, around, run, options);
}

/** The last lines of the log. */
export function say(report: Report, policy: ExitPolicy, code: number): number {
  const text = `mixgate: ${report.verdict}, ${describeCounts(countEffects(report.findings))}`;
  // Not an annotation: those are counted, and the findings need them.
  if (code !== 0 || report.verdict === 'pass' || report.verdict === 'warn') core.info(text);
  else core.warning(`${text}; does not block because of ${policy.mode === 'warn' ? 'mode: warn' : `on-${report.verdict}: warn`}`);
  return code;
}

function setOutput(name: OutputName, value: string | number): void {
  try {
    core.setOutput(name, value);
  } catch (error) {
    warn(`the output ${name} was not set: ${messageOf(error)}`);
  }
}

function renderOptions(report: Report, around: Surroundings, env: NodeJS.ProcessEnv): RenderOptions {
  const server = env['GITHUB_SERVER_URL'];
  const repository = env['GITHUB_REPOSITORY'];
  const runId = env['GITHUB_RUN_ID'];
  const repositoryUrl = server === undefined || repository === undefined ? undefined : `${server}/${repository}`;
  const tag = around.inputs?.commentTag ?? '';
  return {
    pathPrefix: around.pathPrefix,
    ...(tag === '' ? {} : { category: tag }),
    ...(repositoryUrl === undefined
      ? {}
      : {
          links: {
            repositoryUrl,
            commit: report.provenance.head?.commit,
            ...(runId === undefined
              ? {}
              : { runUrl: `${repositoryUrl}/actions/runs/${runId}/attempts/${env['GITHUB_RUN_ATTEMPT'] ?? '1'}` }),
          },
        }),
  };
}

/** By default outside the workspace, which holds the pull request's files: a link there could lead anywhere. */
async function reportDir(around: Surroundings, env: NodeJS.ProcessEnv): Promise<string> {
  const workspace = env['GITHUB_WORKSPACE'] ?? process.cwd();
  const asked = around.inputs?.reportDir;
  const tag = (around.inputs?.commentTag ?? '').replace(/[^A-Za-z0-9_.-]+/g, '-').replace(/^\.+/, '');
  const dir = asked === undefined ? join(env['RUNNER_TEMP'] ?? workspace, 'mixgate-report', tag) : resolve(workspace, asked);
  mkdirSync(dir, { recursive: true });
  const inside = relative(resolve(workspace), dir);
  if (inside.split(sep)[0] !== '..' && relative(realpathSync(workspace), realpathSync(dir)) !== inside)
    throw new Error(`${asked ?? dir} is reached through a symbolic link`);
  return dir;
}

async function comment(report: Report, around: Surroundings, run: ActionRun, options: RenderOptions): Promise<void> {
  const { inputs, change } = around;
  if (inputs === undefined || change?.pullRequest === undefined || inputs.comment === 'never') return;
  if (change.pullRequest.fork && change.event === 'pull_request') {
    core.info(
      'No comment: the token of a pull request from a fork can only read. The job summary and the annotations have everything.',
    );
    return;
  }
  if (inputs.token === '') {
    warn(
      'no comment: the input `token` is empty; the default is `github.token`, and the job needs `permissions: pull-requests: write`',
    );
    return;
  }
  const [owner, repo] = (run.env['GITHUB_REPOSITORY'] ?? '').split('/');
  const number = change.pullRequest.number;
  await tryTo('the comment', async () => {
    const comments = await gitHubComments({
      token: inputs.token,
      owner: owner ?? '',
      repo: repo ?? '',
      number,
      signal: run.signal,
    });
    const key = `${run.env['GITHUB_WORKFLOW'] ?? ''}:${run.env['GITHUB_JOB'] ?? ''} ${inputs.commentTag}`.trim();
    const url = await stickyComment(report, comments, { ...options, mode: inputs.comment, key, signal: run.signal });
    if (url !== undefined) core.info(`comment: ${oneLine(url)}`);
  });
}

async function tryTo<T>(what: string, action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    warn(`${what} could not be written: ${messageOf(error)}${permission(what, error)}`);
    return undefined;
  }
}

function permission(what: string, error: unknown): string {
  const status = statusOf(error);
  if (what !== 'the comment' || (status !== 403 && status !== 404 && status !== 401)) return '';
  return '. The job needs `permissions: pull-requests: write`, which pull requests from forks never get. The verdict is not affected';
}

function warn(text: string): void {
  core.warning(withoutCommands(oneLine(text)));
}
