import type { Finding, Level } from '../../core/finding.ts';
import { compareText } from '../../core/text.ts';
import { type TelemetryRule, telemetryFinding } from '../rules.ts';
import type { SamplePath } from './encoding.ts';
import type { LineLocator, ParsedRequest } from './json-lines.ts';

/** A problem in samples as it is first seen; the same one in thousands of points is one finding with a count. */
export interface SampleIssue {
  readonly rule: TelemetryRule;
  readonly level?: Level;
  readonly message: string;
  readonly subject: string;
  /** A function where it takes work to say: called once, for the first occurrence only. */
  readonly fix?: string | (() => string);
}

interface Aggregated extends Omit<SampleIssue, 'fix'> {
  readonly fix: string | undefined;
  count: number;
  readonly clusters: Set<string>;
  readonly file: string;
  readonly line: number;
}

/** More different problems than this are counted but not listed: a hostile file can hold millions. */
const MAX_ISSUES = 500;

/** Collects issues of all files, one entry a problem, each with the first place it was seen. */
export interface IssueCollector {
  add(
    issue: SampleIssue,
    at: { readonly file: string; readonly cluster: string; readonly request: ParsedRequest; readonly path: SamplePath },
  ): void;
  findings(): Finding[];
}

export function issueCollector(lineOf: LineLocator): IssueCollector {
  const seen = new Map<string, Aggregated>();
  let left = 0;
  return {
    add(issue, at) {
      const key = `${issue.rule} ${issue.subject} ${issue.message}`;
      const known = seen.get(key);
      if (known !== undefined) {
        known.count += 1;
        known.clusters.add(at.cluster);
        return;
      }
      if (seen.size >= MAX_ISSUES) {
        left += 1;
        return;
      }
      const { fix, ...rest } = issue;
      seen.set(key, {
        ...rest,
        fix: typeof fix === 'function' ? fix() : fix,
        count: 1,
        clusters: new Set([at.cluster]),
        file: at.file,
        line: lineOf(at.request, at.path),
      });
    },
    findings() {
      const list = [...seen.values()].map((issue) =>
        telemetryFinding(issue.rule, {
          ...(issue.level === undefined ? {} : { level: issue.level }),
          message: issue.message,
          location: { file: issue.file, line: issue.line },
          subject: issue.subject,
          evidence: { occurrences: issue.count, clusters: [...issue.clusters].sort(compareText) },
          ...(issue.fix === undefined ? {} : { fix: issue.fix }),
        }),
      );
      if (left > 0)
        list.push(
          telemetryFinding('telemetry-otlp-encoding', {
            message: `The samples have more than ${MAX_ISSUES} different problems; ${left} more are not listed.`,
            subject: 'samples',
          }),
        );
      return list;
    },
  };
}
