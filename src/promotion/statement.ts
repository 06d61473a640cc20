import type { Subject } from '../core/gate.ts';
import { canonicalJson, digestJson, sha256 } from '../core/json.ts';
import type { Report } from '../core/report.ts';
import type { EvidenceDocument } from '../generated/schemas.ts';

const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
const PREDICATE_TYPE = 'https://mixgate.dev/evidence/v1';

export type Statement = EvidenceDocument;

/**
 * What a run found, as an in-toto Statement v1: subjects are what was judged (commit, policy bundle, model, schemas), the predicate
 * says with which verdicts, tools and seed.
 * @param now ISO 8601 UTC instant
 */
export function evidenceFrom(report: Report, now: string): Statement {
  const { provenance } = report;
  const commit = provenance.head?.commit ?? null;
  const subjects = uniqueSubjects([
    ...(commit === null ? [] : [{ name: 'commit', digest: { gitCommit: commit } }]),
    ...report.gates.flatMap((gate) => gate.subjects ?? []),
  ]);
  return {
    _type: STATEMENT_TYPE,
    // A run on a working tree has no commit to name: the report itself is the subject then.
    subject: (subjects.length > 0
      ? subjects
      : [{ name: 'report', digest: { sha256: digestJson(report) } }]) as unknown as Statement['subject'],
    predicateType: PREDICATE_TYPE,
    predicate: {
      verdict: report.verdict,
      gates: report.gates.map(({ id, verdict, reason, facts }) => ({
        id,
        verdict,
        reason,
        ...(facts === undefined ? {} : { facts: { ...facts } }),
      })),
      commit,
      base: provenance.base?.commit ?? null,
      command: provenance.command,
      created: now,
      measurementsDigest: digestJson(report.gates.map((gate) => ({ id: gate.id, measurements: gate.measurements }))),
      reportDigest: digestJson(report),
      toolVersions: { mixgate: provenance.tool.version, ...provenance.tools },
      seed: provenance.seed,
    },
  };
}

function uniqueSubjects(subjects: readonly Subject[]): Subject[] {
  const seen = new Map<string, Subject>();
  for (const subject of subjects) seen.set(canonicalJson(subject), subject);
  return [...seen.values()];
}

/** Bytes of a statement as they are stored and signed: canonical JSON, so that its digest is one value wherever it is computed. */
export function statementBytes(statement: Statement): Buffer {
  return Buffer.from(canonicalJson(statement), 'utf8');
}

/** Lower-case hex SHA-256 of the stored statement. */
export function statementDigest(statement: Statement): string {
  return sha256(statementBytes(statement));
}

/** One digest for a set of statements, in any order: what the trailer `Gate-Evidence:` carries. */
export function evidenceDigest(statements: readonly Statement[]): string {
  return sha256(statements.map(statementDigest).sort().join('\n'));
}
