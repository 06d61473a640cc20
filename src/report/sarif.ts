import { gzipSync } from 'node:zlib';
import type { Finding, Location } from '../core/finding.ts';
import { sha256 } from '../core/json.ts';
import type { Report } from '../core/report.ts';
import { capitalised } from '../core/text.ts';
import { clip, oneLine, visible } from './escape.ts';
import { describeEvidence } from './evidence.ts';
import type { RenderOptions } from './options.ts';
import { lineHashes } from './sarif-fingerprint.ts';
import { describeEffect, effectOf } from './view.ts';

/** What GitHub code scanning takes (docs.github.com, "SARIF support for code scanning"). */
const MAX_RESULTS = 5_000;
const MAX_GZIP_BYTES = 10_000_000;
const MAX_RELATED = 99;
const MAX_DESCRIPTION = 1_024;
/** Hashing a file costs time for each character; a larger file falls back to the finding's own fingerprint. */
const MAX_HASHED_CHARACTERS = 1_000_000;
/** Where a finding without a place is shown: GitHub refuses a result that has none. */
const FALLBACK: Location = { file: 'mixgate.yaml', line: 1 };

export type SarifOptions = Pick<RenderOptions, 'files' | 'rules' | 'pathPrefix' | 'category'>;

/** SARIF 2.1.0 with what GitHub code scanning requires, within its limits; blocking findings are kept first. */
export function renderSarif(report: Report, options: SarifOptions = {}): string {
  for (let count = Math.min(report.findings.length, MAX_RESULTS); ; count = Math.floor(count / 2)) {
    const text = `${JSON.stringify(sarifLog(report, options, count), null, 2)}\n`;
    if (count === 0 || text.length < MAX_GZIP_BYTES || gzipSync(text).length < MAX_GZIP_BYTES) return text;
  }
}

function sarifLog(report: Report, options: SarifOptions, count: number): object {
  const findings = report.findings.slice(0, count);
  const ruleIds = [...new Set(findings.map((finding) => finding.ruleId))].sort();
  const places = new Places(options);
  const left = report.findings.length - findings.length;
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'mixgate',
            semanticVersion: report.provenance.tool.version,
            rules: ruleIds.map((id) => rule(id, findings.find((finding) => finding.ruleId === id)!, options)),
          },
        },
        automationDetails: { id: `mixgate/${options.category === undefined ? '' : `${oneLine(options.category)}/`}` },
        columnKind: 'utf16CodeUnits',
        invocations: [
          {
            executionSuccessful: report.verdict !== 'error',
            ...(left === 0
              ? {}
              : {
                  toolExecutionNotifications: [
                    {
                      level: 'warning',
                      message: {
                        text: `${left} findings were left out: the file has a limit of ${MAX_RESULTS} results and 10 MB.`,
                      },
                    },
                  ],
                }),
          },
        ],
        properties: { verdict: report.verdict },
        results: findings.map((finding) => result(finding, ruleIds.indexOf(finding.ruleId), places)),
      },
    ],
  };
}

function rule(id: string, example: Finding, options: SarifOptions): object {
  const help = options.rules?.get(id);
  const summary = clip(oneLine(help?.summary ?? `${words(id)}.`), MAX_DESCRIPTION);
  return {
    id,
    name: id.replace(/(^|-)(\w)/g, (_, __, letter: string) => letter.toUpperCase()),
    shortDescription: { text: words(id) },
    fullDescription: { text: summary },
    help: {
      text: `${summary} Run \`mixgate explain ${id}\` for why it matters and how to fix it.`,
      ...(help === undefined ? {} : { markdown: clip(help.markdown, 20_000) }),
    },
    defaultConfiguration: { level: example.level },
    properties: {
      tags: ['mixgate', id.split('-')[0]],
      precision: 'high',
      'problem.severity': example.level === 'note' ? 'recommendation' : example.level,
    },
  };
}

function words(id: string): string {
  return capitalised(id.replaceAll('-', ' '));
}

function result(finding: Finding, ruleIndex: number, places: Places): object {
  const effect = effectOf(finding);
  const location = finding.location ?? FALLBACK;
  const text = [
    visible(clip(finding.message, 2_000)),
    ...(finding.location === undefined ? ['(Not about one line of a file; shown at the configuration.)'] : []),
    ...(finding.evidence === undefined ? [] : [describeEvidence(finding.evidence, { lines: 20, columns: 200 }).join('\n')]),
    ...(finding.fix === undefined ? [] : [`Fix: ${visible(clip(finding.fix, 1_000))}`]),
    `This finding: ${oneLine(describeEffect(finding))}.`,
  ].join('\n\n');
  return {
    ruleId: finding.ruleId,
    ruleIndex,
    level: effect === 'blocks' ? 'error' : effect === 'waived' ? 'note' : finding.level === 'error' ? 'warning' : finding.level,
    message: { text },
    locations: [{ physicalLocation: places.physical(location) }],
    ...(finding.related === undefined || finding.related.length === 0
      ? {}
      : {
          relatedLocations: finding.related.slice(0, MAX_RELATED).map((other, id) => ({
            id,
            physicalLocation: places.physical(other),
            ...(other.message === undefined ? {} : { message: { text: visible(clip(other.message, 500)) } }),
          })),
        }),
    partialFingerprints: { primaryLocationLineHash: places.fingerprint(location, finding.id), 'mixgateFinding/v1': finding.id },
    ...(finding.waived === false
      ? {}
      : {
          suppressions: [
            {
              kind: 'external',
              status: 'accepted',
              justification: oneLine(`${finding.waived.reason} (${finding.waived.owner}, until ${finding.waived.expires})`),
            },
          ],
        }),
    properties: {
      blocking: finding.blocking,
      effect,
      ...(finding.subject === undefined ? {} : { subject: oneLine(clip(finding.subject, 300)) }),
    },
  };
}

/** Regions and fingerprints from the contents of files, where they are given. */
class Places {
  readonly #options: SarifOptions;
  readonly #hashes = new Map<string, readonly string[]>();
  readonly #lines = new Map<string, readonly string[]>();

  constructor(options: SarifOptions) {
    this.#options = options;
  }

  physical(location: Location): object {
    return { artifactLocation: { uri: this.#uri(location.file), uriBaseId: '%SRCROOT%' }, region: this.#region(location) };
  }

  /** One line long: a pull request shows an alert only when all its lines are in the diff. */
  #region(location: Location): object {
    const startLine = location.line ?? 1;
    const startColumn = location.column ?? 1;
    const sameLine = location.endLine === undefined || location.endLine === startLine;
    const length = this.#linesOf(location.file)?.[startLine - 1]?.length;
    const toEnd = length === undefined ? startColumn + 1 : length + 1;
    const endColumn = sameLine && location.endColumn !== undefined ? location.endColumn : toEnd;
    return { startLine, startColumn, endLine: startLine, endColumn: Math.max(startColumn + 1, endColumn) };
  }

  fingerprint(location: Location, findingId: string): string {
    const text = this.#options.files?.get(location.file);
    if (text !== undefined && text.length <= MAX_HASHED_CHARACTERS) {
      let hashes = this.#hashes.get(location.file);
      if (hashes === undefined) {
        hashes = lineHashes(text);
        this.#hashes.set(location.file, hashes);
      }
      const hash = hashes[(location.line ?? 1) - 1];
      if (hash !== undefined) return hash;
    }
    // The file is not at hand: the finding's own identity, which doesn't depend on the line either.
    return `${sha256(findingId).slice(0, 16)}:1`;
  }

  #linesOf(file: string): readonly string[] | undefined {
    const text = this.#options.files?.get(file);
    if (text === undefined) return undefined;
    let lines = this.#lines.get(file);
    if (lines === undefined) {
      lines = text.split(/\r\n|\r|\n/);
      this.#lines.set(file, lines);
    }
    return lines;
  }

  #uri(file: string): string {
    const prefix = this.#options.pathPrefix ?? '';
    const path = prefix === '' ? file : `${prefix}/${file}`;
    return path.toWellFormed().split('/').map(encodeURIComponent).join('/');
  }
}
