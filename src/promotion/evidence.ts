import type { KeyObject } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeText, parseYaml, type SourceDocument } from '../config/document.ts';
import { checked } from '../config/schema.ts';
import { ConfigurationError, isMixgateError, type Problem } from '../core/errors.ts';
import { canonicalJson, digestJson, sha256 } from '../core/json.ts';
import type { Report } from '../core/report.ts';
import { type Verdict, worstVerdict } from '../core/verdict.ts';
import { writeWhole } from '../workspace/write-whole.ts';
import { openEnvelope, readKey, signEnvelope } from './dsse.ts';
import { evidenceFrom, type Statement, statementBytes, statementDigest } from './statement.ts';

const MAX_FILES = 500;
const MAX_BYTES = 4 * 1024 * 1024;

export interface WriteOptions {
  readonly dir: string;
  /** ISO 8601 UTC instant. */
  readonly now: string;
  /** Ed25519: signs the statement (DSSE). */
  readonly privateKey?: KeyObject;
}

export interface WrittenEvidence {
  /** Absolute or relative as `dir` was. */
  readonly path: string;
  readonly digest: string;
  readonly statement: Statement;
}

/**
 * Writes a run's statement as `<digest>.json` (or `<digest>.dsse.json` when signed) and the report it speaks of as
 * `reports/<digest>.json`. The names are the SHA-256 of the content, so that an edited file no longer fits its name.
 */
export async function writeEvidence(report: Report, options: WriteOptions): Promise<WrittenEvidence> {
  const statement = evidenceFrom(report, options.now);
  const digest = statementDigest(statement);
  await writeWhole(join(options.dir, 'reports', `${statement.predicate.reportDigest}.json`), canonicalJson(report));
  const path = join(options.dir, options.privateKey === undefined ? `${digest}.json` : `${digest}.dsse.json`);
  const body =
    options.privateKey === undefined
      ? statementBytes(statement)
      : canonicalJson(signEnvelope(statementBytes(statement), options.privateKey));
  await writeWhole(path, body);
  return { path, digest, statement };
}

export interface StoredEvidence {
  readonly file: string;
  readonly digest: string;
  readonly statement: Statement;
  readonly signed: boolean;
  /** Ids of the trusted keys whose signature is valid. */
  readonly signedBy: readonly string[];
}

export interface EvidenceSet {
  readonly evidence: readonly StoredEvidence[];
  /** Files that were altered, cut or don't fit together. */
  readonly altered: readonly Problem[];
}

/**
 * Reads every statement of a folder and checks that nothing was changed since it was written: name against content, report against
 * its digest, verdict against the gates. Unsigned evidence is as trustworthy as the place it was kept in; signatures go further.
 * @throws ConfigurationError when the folder can't be read or holds no evidence at all
 */
export async function readEvidence(dir: string, keys: readonly KeyObject[] = []): Promise<EvidenceSet> {
  let names: string[];
  try {
    names = (await readdir(dir)).filter((name) => name.endsWith('.json')).sort();
  } catch (cause) {
    throw new ConfigurationError(
      { message: `the evidence folder ${dir} cannot be read.`, fix: 'name the folder that the gates wrote with --evidence DIR.' },
      { cause },
    );
  }
  if (names.length === 0)
    throw new ConfigurationError({
      message: `the folder ${dir} holds no evidence.`,
      fix: `run the gates with \`--evidence ${dir}\` first.`,
    });
  if (names.length > MAX_FILES)
    throw new ConfigurationError({ message: `the folder ${dir} holds ${names.length} files.`, expected: `at most ${MAX_FILES}` });
  const evidence: StoredEvidence[] = [];
  const altered: Problem[] = [];
  for (const name of names) {
    try {
      evidence.push(await readOne(dir, name, keys));
    } catch (error) {
      if (!isMixgateError(error)) throw error;
      altered.push(...error.problems);
    }
  }
  return { evidence, altered };
}

async function readOne(dir: string, name: string, keys: readonly KeyObject[]): Promise<StoredEvidence> {
  const path = join(dir, name);
  const { size, isFile } = await stat(path).then(
    (found) => ({ size: found.size, isFile: found.isFile() }),
    () => ({ size: 0, isFile: false }),
  );
  // A pipe of that name would keep whoever reads it waiting.
  if (!isFile)
    throw new ConfigurationError({
      message: 'the evidence is not a file that can be read.',
      location: { file: name },
      fix: `remove it from ${dir}, or write the evidence anew with --evidence.`,
    });
  if (size > MAX_BYTES)
    throw new ConfigurationError({
      message: 'the evidence file is too large.',
      location: { file: name },
      expected: `at most ${MAX_BYTES} bytes`,
    });
  const bytes = await readFile(path);
  const source = parseYaml(decodeText(bytes, name, MAX_BYTES), name);
  const signed = name.endsWith('.dsse.json');
  let payload: Buffer = bytes;
  let signedBy: readonly string[] = [];
  let document: SourceDocument = source;
  if (signed) {
    const opened = openEnvelope(checked('evidence-envelope', source), keys);
    payload = opened.payload;
    signedBy = opened.signedBy;
    document = parseYaml(decodeText(payload, name, MAX_BYTES), name);
  }
  const statement = checked('evidence', document);
  const digest = sha256(payload);
  const expected = name.replace(/(?:\.dsse)?\.json$/, '');
  if (expected !== digest)
    throw alteredFile(name, `its content has SHA-256 ${digest.slice(0, 12)}, its name says ${expected.slice(0, 12)}`);
  const { predicate } = statement;
  // A report may carry findings of its own (expired waivers) and be worse than its gates, never better.
  if (worstVerdict([predicate.verdict, ...predicate.gates.map((gate) => gate.verdict as Verdict)]) !== predicate.verdict) {
    throw alteredFile(name, `it says ${predicate.verdict}, but one of its gates says otherwise`);
  }
  await checkReport(dir, name, predicate.reportDigest);
  return { file: name, digest, statement, signed, signedBy };
}

async function checkReport(dir: string, name: string, expected: string): Promise<void> {
  const file = `reports/${expected}.json`;
  const bytes = await readFile(join(dir, file)).catch(() => undefined);
  // The report may be kept elsewhere: the statement stands alone.
  if (bytes === undefined) return;
  let digest: string;
  try {
    digest = digestJson(JSON.parse(bytes.toString('utf8')));
  } catch {
    throw alteredFile(name, `its report ${file} is not JSON`);
  }
  if (digest !== expected) throw alteredFile(name, `its report ${file} has another digest`);
}

function alteredFile(name: string, what: string): ConfigurationError {
  return new ConfigurationError({
    message: `The evidence ${name} was altered: ${what}.`,
    location: { file: name },
    fix: 'run the gate again; never edit evidence.',
  });
}

/** The key that signs evidence: a PEM file named by MIXGATE_SIGNING_KEY; undefined when it isn't set. */
export async function signingKey(env: NodeJS.ProcessEnv): Promise<KeyObject | undefined> {
  const file = env['MIXGATE_SIGNING_KEY'];
  if (file === undefined || file === '') return undefined;
  const pem = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ConfigurationError(
      { message: 'the file named by MIXGATE_SIGNING_KEY cannot be read.', location: { file } },
      { cause },
    );
  });
  return readKey(pem, 'private', file);
}
