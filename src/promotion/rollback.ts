import { ConfigurationError } from '../core/errors.ts';
import type { Finding } from '../core/finding.ts';
import { type GateResult, gateResult } from '../core/gate.ts';
import type { Git } from '../workspace/git.ts';
import type { Environment } from './environment.ts';
import { type HistoryEntry, lastGood, readHistory } from './history.ts';
import { editPin } from './pin.ts';
import { movedFinding, oneLine } from './promote.ts';
import { pushCommit } from './remote.ts';
import { promotionFinding } from './rules.ts';
import { formatTrailers } from './trailers.ts';
import { writeCommit } from './write-commit.ts';

export interface RollbackOptions {
  readonly git: Git;
  readonly environment: Environment;
  readonly reason: string;
  /** Full id of the revision to go back to; absent: the last one whose evidence passed. */
  readonly to?: string | undefined;
  readonly now: string;
  readonly dryRun: boolean;
}

/**
 * Takes an environment back to its last good revision by a new commit on its branch (never a reset), for this environment's file
 * only, and puts the revision it leaves into quarantine.
 */
export async function rollback(options: RollbackOptions): Promise<GateResult> {
  const { git, environment } = options;
  const { pin, target, pinPath } = environment;
  const name = environment.config.name;
  if (pin.revision === null)
    throw new ConfigurationError({
      message: `${name} was never promoted: there is nothing to roll back.`,
      location: { file: pinPath },
    });
  const history = await readHistory(git, target.tip, pinPath, name);
  const good = options.to === undefined ? lastGood(history, pin) : chosen(history, options.to, pin.revision, name);
  const findings: Finding[] = [];
  if (good === undefined) {
    findings.push(
      promotionFinding('promotion-no-last-good', {
        message: `${name} has no earlier promotion whose evidence passed.`,
        location: { file: pinPath },
        evidence: { promotions: history.length, revision: pin.revision },
        subject: name,
        fix: 'Promote a repaired commit instead.',
      }),
    );
    return result(options, findings, undefined, undefined, '');
  }
  const bad = history.find((entry) => entry.promotedFrom === pin.revision);
  const passReason = `${name} goes back from ${pin.revision.slice(0, 12)} to ${good.promotedFrom.slice(0, 12)}`;
  if (options.dryRun) return result(options, findings, good, undefined, `${passReason} (dry run: nothing was pushed)`);
  const reason = oneLine(options.reason);
  const message = [
    `rollback: ${name} to ${good.promotedFrom.slice(0, 12)}`,
    '',
    `Reason: ${reason}`,
    `${pin.revision.slice(0, 12)} is in quarantine.`,
    '',
    formatTrailers({
      environment: name,
      promotedFrom: good.promotedFrom,
      verdict: good.verdict,
      evidence: good.evidence,
      rollbackOf: bad?.commit ?? target.tip,
    }),
    '',
  ].join('\n');
  const text = editPin(environment.pinText, {
    revision: good.promotedFrom,
    quarantine: { revision: pin.revision, reason, since: options.now },
  });
  const commit = await writeCommit(git, { parent: target.tip, path: pinPath, text, message, now: options.now });
  const pushed = await pushCommit(git, target, commit);
  if (!pushed.ok) {
    const when = 'while this rollback was on its way';
    findings.push(movedFinding(environment, target.tip, pushed.tip, when, 'Run the rollback again.'));
    return result(options, findings, good, undefined, '');
  }
  return result(
    options,
    findings,
    good,
    commit,
    `${passReason} by commit ${commit.slice(0, 12)} on ${target.remote}/${target.branch}`,
  );
}

function chosen(history: readonly HistoryEntry[], to: string, current: string, name: string): HistoryEntry {
  if (to === current)
    throw new ConfigurationError({
      message: `${name} already runs ${to.slice(0, 12)}.`,
      fix: 'name another revision with --revision, or none for the last good one.',
    });
  const entry = history.find(
    (candidate) => candidate.promotedFrom === to && (candidate.verdict === 'pass' || candidate.verdict === 'warn'),
  );
  if (entry !== undefined) return entry;
  throw new ConfigurationError({
    message: `${to.slice(0, 12)} was never promoted to ${name} with evidence that passed.`,
    fix: `see \`mixgate history --env ${name}\`.`,
  });
}

function result(
  options: RollbackOptions,
  findings: readonly Finding[],
  good: HistoryEntry | undefined,
  pushed: string | undefined,
  passReason: string,
): GateResult {
  const { environment } = options;
  return gateResult({
    id: 'promotion',
    findings,
    measurements: [],
    ...(good === undefined
      ? {}
      : {
          tables: [
            {
              title: 'Rollback',
              columns: ['Environment', 'From', 'To', 'Evidence of the restored revision', 'Reason'],
              rows: [
                [
                  environment.config.name,
                  environment.pin.revision ?? '',
                  good.promotedFrom,
                  `${good.verdict}, ${good.evidence}`,
                  oneLine(options.reason),
                ],
              ],
            },
          ],
        }),
    facts: {
      environment: environment.config.name,
      before: environment.pin.revision,
      revision: good?.promotedFrom ?? null,
      pushed: pushed ?? null,
    },
    passReason,
  });
}
