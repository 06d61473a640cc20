import type { Finding } from '../core/finding.ts';
import { type GateResult, gateResult, type Subject, type Table } from '../core/gate.ts';
import type { Tool } from '../core/gate-context.ts';
import { type Verdict, worstVerdict } from '../core/verdict.ts';
import type { Git } from '../workspace/git.ts';
import type { Environment } from './environment.ts';
import { readEvidence, type StoredEvidence } from './evidence.ts';
import { editPin, parsePin } from './pin.ts';
import { evaluatePromotionPolicy } from './policy.ts';
import { isOnRemote, pushCommit } from './remote.ts';
import { promotionFinding } from './rules.ts';
import { evidenceDigest } from './statement.ts';
import { formatTrailers } from './trailers.ts';
import { writeCommit } from './write-commit.ts';

export interface PromoteOptions {
  readonly git: Git;
  readonly environment: Environment;
  /** Full id of the commit to promote. */
  readonly commit: string;
  readonly evidenceDir: string;
  /** ISO 8601 UTC instant. */
  readonly now: string;
  readonly opa: () => Promise<Tool>;
  /** Reason for promoting a commit that is in quarantine. */
  readonly overrideQuarantine?: string | undefined;
  /** Judge everything, push nothing. */
  readonly dryRun: boolean;
}

interface Evidence {
  /** About the commit, from gates (not from earlier promotions). */
  readonly relevant: readonly StoredEvidence[];
  readonly findings: readonly Finding[];
}

const PROMOTE_AGAIN = 'Look at what runs there now, run the gates again if it matters, and promote again.';

/**
 * Promotes a commit to an environment: evidence checked, policy asked, one commit pushed that pins the environment to it.
 * Every refusal is a finding and leaves the remote as it was.
 */
export async function promote(options: PromoteOptions): Promise<GateResult> {
  const { environment, commit, git } = options;
  const { pin, target } = environment;
  const evidence = await loadEvidence(options);
  const findings: Finding[] = [...evidence.findings];
  const file = environment.pinPath;
  const name = environment.config.name;
  if (pin.revision === commit) {
    findings.push(
      promotionFinding('promotion-nothing-to-do', {
        message: `${name} already runs ${commit.slice(0, 12)}.`,
        location: { file },
        subject: name,
      }),
    );
    return result(options, findings, evidence, undefined, `${name} already runs ${commit.slice(0, 12)}`);
  }
  findings.push(...(await stateFindings(options)));
  if (!findings.some((f) => f.blocking)) {
    const decision = await evaluatePromotionPolicy(await options.opa(), environment.tree, environment.promotion.policy, {
      environment: { name, requires: environment.config.requires ?? [] },
      commit,
      base: pin.revision,
      now: options.now,
      evidence: evidence.relevant.map(({ statement }) => statement),
    });
    if (!decision.allow) {
      const reasons = decision.reasons.length === 0 ? ['no reason given'] : decision.reasons;
      findings.push(
        ...reasons.map((reason) =>
          promotionFinding('promotion-denied', {
            message: `The promotion policy refuses ${commit.slice(0, 12)} for ${name}: ${reason}.`,
            location: { file: environment.promotion.policy },
            evidence: { reason },
            subject: name,
            fix: 'Repair what the reason names and run the gates again.',
          }),
        ),
      );
    }
  }
  if (findings.some((f) => f.blocking)) return result(options, findings, evidence, undefined, '');
  if (options.dryRun)
    return result(
      options,
      findings,
      evidence,
      undefined,
      `${name} would be promoted to ${commit.slice(0, 12)} (dry run: nothing was pushed)`,
    );
  const written = await writePromotion(options, evidence);
  const pushed = await pushCommit(git, target, written);
  if (!pushed.ok) {
    findings.push(movedFinding(environment, target.tip, pushed.tip, 'while this promotion was on its way', PROMOTE_AGAIN));
    return result(options, findings, evidence, undefined, '');
  }
  return result(
    options,
    findings,
    evidence,
    written,
    `${name} is promoted to ${commit.slice(0, 12)} by commit ${written.slice(0, 12)} on ${target.remote}/${target.branch}`,
  );
}

async function loadEvidence(options: PromoteOptions): Promise<Evidence> {
  const { environment, commit } = options;
  const name = environment.config.name;
  const set = await readEvidence(options.evidenceDir, environment.keys);
  const findings: Finding[] = set.altered.map((problem) =>
    promotionFinding('promotion-evidence-altered', {
      message: problem.message,
      location: problem.location,
      fix: problem.fix ?? 'Run the gate again; never edit evidence.',
      subject: name,
    }),
  );
  // The report of an earlier promotion attempt is no evidence about the commit.
  const gates = set.evidence.filter(({ statement }) => statement.predicate.gates.some((gate) => gate.id !== 'promotion'));
  const relevant = gates.filter(({ statement }) => statement.predicate.commit === commit);
  for (const { file, statement } of gates) {
    if (statement.predicate.commit === commit) continue;
    const about =
      statement.predicate.commit === null ? 'a working tree without a commit' : statement.predicate.commit.slice(0, 12);
    findings.push(
      promotionFinding('promotion-evidence-other-commit', {
        message: `The evidence ${file.slice(0, 12)} (${statement.predicate.command}) is about ${about}, not about ${commit.slice(0, 12)}: it does not count.`,
        evidence: { file, commit: statement.predicate.commit },
        subject: name,
        fix: 'Run the gate on the commit that is promoted.',
      }),
    );
  }
  const covered = new Set(relevant.flatMap(({ statement }) => statement.predicate.gates.map((gate) => gate.id)));
  const requires: readonly string[] = environment.config.requires ?? [];
  for (const gate of requires.filter((id) => !covered.has(id))) {
    findings.push(
      promotionFinding('promotion-evidence-missing', {
        message: `There is no evidence of the ${gate} gate for ${commit.slice(0, 12)}, which ${name} requires.`,
        evidence: { gate, has: [...covered].sort() },
        subject: `${name} ${gate}`,
        fix: `Run the gate on the commit with --evidence DIR.`,
      }),
    );
  }
  if (relevant.length === 0 && requires.length === 0)
    findings.push(
      promotionFinding('promotion-evidence-missing', {
        message: `There is no evidence for ${commit.slice(0, 12)}.`,
        subject: name,
        fix: 'Run the gates on the commit with --evidence DIR.',
      }),
    );
  if (environment.config.signed === true) {
    for (const { file, signed, signedBy } of relevant) {
      if (signedBy.length > 0) continue;
      findings.push(
        promotionFinding('promotion-evidence-unsigned', {
          message: `The evidence ${file.slice(0, 12)} ${signed ? 'has no signature of a trusted key' : 'is not signed'}, and ${name} accepts signed evidence only.`,
          subject: name,
          fix: 'Sign it (MIXGATE_SIGNING_KEY) with a key whose public half `promotion.publicKeys` names.',
        }),
      );
    }
  }
  return { relevant, findings };
}

/** What speaks against the promotion besides evidence and policy: quarantine, an unknown commit, an environment that moved. */
async function stateFindings(options: PromoteOptions): Promise<Finding[]> {
  const { environment, commit, git } = options;
  const { pin, target, config } = environment;
  const findings: Finding[] = [];
  const barred = pin.quarantine?.find(({ revision }) => revision === commit);
  if (barred !== undefined && options.overrideQuarantine === undefined) {
    findings.push(
      promotionFinding('promotion-quarantined', {
        message: `${commit.slice(0, 12)} is in quarantine for ${config.name} since ${barred.since}: ${barred.reason}.`,
        location: { file: environment.pinPath },
        evidence: { ...barred },
        subject: config.name,
        fix: 'Promote a commit that repairs it, or override with --override-quarantine REASON.',
      }),
    );
  }
  if (!(await isOnRemote(git, target, commit))) {
    findings.push(
      promotionFinding('promotion-commit-not-on-remote', {
        message: `${commit.slice(0, 12)} is on no branch of ${target.remote}: an environment pinned to it could not fetch it.`,
        subject: config.name,
        fix: 'Push the commit first.',
      }),
    );
  }
  const seen =
    target.before === undefined || target.before === target.tip
      ? undefined
      : (await git.blobs([`${target.before}:${environment.pinPath}`]))[0]?.toString('utf8');
  if (seen !== undefined && parsePin(seen, environment.pinPath, config.name).revision !== pin.revision)
    findings.push(movedFinding(environment, target.before!, target.tip, 'since this clone last saw it', PROMOTE_AGAIN));
  return findings;
}

/** The refusal of a change to an environment that somebody else changed. */
export function movedFinding(environment: Environment, from: string, to: string, when: string, fix: string): Finding {
  const { target, config } = environment;
  return promotionFinding('promotion-remote-moved', {
    message: `${target.remote}/${target.branch} moved ${when} (${from.slice(0, 12)} to ${to.slice(0, 12)}): nothing was changed.`,
    location: { file: environment.pinPath },
    evidence: { expected: from, found: to },
    subject: config.name,
    fix,
  });
}

function verdictOf(evidence: Evidence): Verdict {
  return worstVerdict(evidence.relevant.map(({ statement }) => statement.predicate.verdict as Verdict));
}

async function writePromotion(options: PromoteOptions, evidence: Evidence): Promise<string> {
  const { environment, commit, git, overrideQuarantine } = options;
  const name = environment.config.name;
  const gates = [
    ...new Set(evidence.relevant.flatMap(({ statement }) => statement.predicate.gates.map((gate) => gate.id))),
  ].sort();
  const lines = [
    `promote: ${name} to ${commit.slice(0, 12)}`,
    '',
    `Gates: ${gates.join(', ')}. Before: ${environment.pin.revision?.slice(0, 12) ?? 'nothing'}.`,
    ...(overrideQuarantine === undefined ? [] : [`Quarantine overridden: ${oneLine(overrideQuarantine)}`]),
    '',
    formatTrailers({
      environment: name,
      promotedFrom: commit,
      verdict: verdictOf(evidence),
      evidence: `sha256:${evidenceDigest(evidence.relevant.map(({ statement }) => statement))}`,
    }),
    '',
  ];
  const text = editPin(environment.pinText, {
    revision: commit,
    ...(overrideQuarantine === undefined ? {} : { release: commit }),
  });
  return writeCommit(git, {
    parent: environment.target.tip,
    path: environment.pinPath,
    text,
    message: lines.join('\n'),
    now: options.now,
  });
}

/** Text of a person inside a commit message: it must not become a trailer. */
export function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 300);
}

function result(
  options: PromoteOptions,
  findings: readonly Finding[],
  evidence: Evidence,
  pushed: string | undefined,
  passReason: string,
): GateResult {
  const { environment, commit } = options;
  const table: Table = {
    title: 'Evidence',
    columns: ['Gate', 'Verdict', 'Reason', 'Signed', 'Statement'],
    rows: evidence.relevant.flatMap(({ statement, signedBy, digest }) =>
      statement.predicate.gates.map((gate) => [
        gate.id,
        gate.verdict,
        gate.reason,
        signedBy.length > 0 ? 'yes' : 'no',
        digest.slice(0, 12),
      ]),
    ),
    note: `For commit ${commit.slice(0, 12)} and environment ${environment.config.name}.`,
  };
  const subjects: Subject[] = evidence.relevant.map(({ file, digest }) => ({ name: file, digest: { sha256: digest } }));
  return gateResult({
    id: 'promotion',
    findings,
    measurements: [],
    tables: [table],
    subjects,
    facts: {
      environment: environment.config.name,
      commit,
      before: environment.pin.revision,
      pushed: pushed ?? null,
      branch: `${environment.target.remote}/${environment.target.branch}`,
    },
    passReason,
  });
}
