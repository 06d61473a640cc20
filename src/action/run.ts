import { realpathSync } from 'node:fs';
import { relative, resolve, sep } from 'node:path';
import * as core from '@actions/core';
import { runCheck } from '../commands/check-run.ts';
import { provenanceOf } from '../commands/provenance.ts';
import { seedFromCommit } from '../commands/seed.ts';
import type { Progress } from '../core/context.ts';
import { ConfigurationError } from '../core/errors.ts';
import { type Provenance, type Report, reportExitCode } from '../core/report.ts';
import { EXIT, type ExitPolicy } from '../core/verdict.ts';
import { oneLine, withoutCommands } from '../report/escape.ts';
import { packageVersion } from '../tools/package-root.ts';
import { type Git, openGit } from '../workspace/git.ts';
import { commitTree, folderTree, subtree } from '../workspace/tree.ts';
import { newestBase, readEvent, refuseUntrustedCheckout, requireCommitBefore } from './event.ts';
import { failureReport } from './failure.ts';
import { type ActionInputs, readInputs } from './inputs.ts';
import { publish, say } from './publish.ts';
import type { ActionRun, Surroundings } from './surroundings.ts';

const COMMAND = 'mixgate check';

/** The Action: inputs and event → one check → reports. Returns the exit code; every failure on the way is a report of its own. */
export async function runAction(run: ActionRun): Promise<number> {
  let around: Surroundings = {};
  const remember = (more: Surroundings): void => {
    around = { ...around, ...more };
  };
  try {
    const inputs = readInputs();
    remember({ inputs });
    // A signal must not wait for a program that runs below: the outputs say what happened before the runner kills the process.
    const report = await Promise.race([judge(inputs, run, remember), aborted(run.signal)]);
    const code = reportExitCode(report, inputs.policy);
    await publish(report, around, run);
    return say(report, inputs.policy, code);
  } catch (error) {
    if (core.isDebug()) core.debug(error instanceof Error ? (error.stack ?? '') : String(error));
    const policy: ExitPolicy = around.inputs?.policy ?? {};
    const { report, code } = failureReport(
      run.signal.aborted ? new Error(`the run was cancelled (${String(run.signal.reason)}).`) : error,
      provenance(run.env),
      policy,
    );
    await publish(report, around, run);
    return say(report, policy, run.signal.aborted ? EXIT.error : code);
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(new Error('cancelled'));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
  });
}

async function judge(inputs: ActionInputs, run: ActionRun, remember: (more: Surroundings) => void): Promise<Report> {
  const change = readEvent(run.env);
  remember({ change });
  const dir = workingDirectory(inputs, run.env);
  const git = await openGit(dir);
  const pathPrefix = relative(realpathSync(git.root), realpathSync(dir)).split(sep).join('/');
  remember({ pathPrefix });
  await refuseUntrustedCheckout(change, git, { trustedSha: run.env['GITHUB_SHA'], allowed: inputs.allowUntrustedCheckout });
  if (inputs.base === undefined) await requireCommitBefore(change, git);
  const base = inputs.base ?? (await newestBase(change, git));
  const head = inputs.head ?? change.head;
  remember({ tree: folderTree(dir) });
  core.info(
    `mixgate ${packageVersion()}: ${change.event}, ${base === undefined ? 'no base' : `base ${base.slice(0, 12)}`}, head ${head.slice(0, 12)}`,
  );
  const report = await runCheck(
    {
      dir,
      base,
      head,
      command: COMMAND,
      ...(inputs.config === undefined ? {} : { config: inputs.config }),
      ...(inputs.only === undefined ? {} : { only: inputs.only }),
    },
    { now: run.now, signal: run.signal, progress: actionProgress() },
  );
  remember(await lookAround(git, report, pathPrefix));
  return report;
}

/** Only for the reports: what can't be found out is left out. */
async function lookAround(git: Git, report: Report, pathPrefix: string): Promise<Surroundings> {
  const { base, head } = report.provenance;
  if (head === undefined) return {};
  const tree = subtree(await commitTree(git, head.commit, pathPrefix), pathPrefix);
  if (base === undefined) return { tree };
  const changed = (await git.changedFiles(base.commit, head.commit)).flatMap((path) =>
    pathPrefix === '' ? [path] : path.startsWith(`${pathPrefix}/`) ? [path.slice(pathPrefix.length + 1)] : [],
  );
  return { tree, changed: new Set(changed) };
}

function workingDirectory(inputs: ActionInputs, env: NodeJS.ProcessEnv): string {
  const workspace = env['GITHUB_WORKSPACE'] ?? process.cwd();
  const dir = resolve(workspace, inputs.workingDirectory);
  try {
    const inside = relative(realpathSync(workspace), realpathSync(dir));
    if (inside.split(sep)[0] !== '..') return realpathSync(dir);
  } catch {
    // Reported below, with the paths that lead out.
  }
  throw new ConfigurationError({
    message: `the input \`working-directory\` is ${JSON.stringify(inputs.workingDirectory)}.`,
    expected: 'a folder inside the workspace',
    fix: 'run actions/checkout before this step, or correct the path.',
  });
}

function actionProgress(): Progress {
  return {
    step: (message) => core.info(withoutCommands(oneLine(message))),
    warn: (message) => core.info(withoutCommands(`warning: ${oneLine(message)}`)),
    fraction: () => undefined,
  };
}

function provenance(env: NodeJS.ProcessEnv): Provenance {
  const sha = /^[0-9a-f]{40,64}$/.exec(env['GITHUB_SHA'] ?? '')?.[0];
  return provenanceOf({ command: COMMAND, seed: seedFromCommit(sha) });
}
