import type { Finding } from '../core/finding.ts';
import type { Report } from '../core/report.ts';
import { describeLeft, fitParts, type Part } from './budget.ts';
import { clip, markdown } from './escape.ts';
import { details, findingDetails, footer, gateTable, heading, type LinkOptions, markdownTable, place } from './markdown-parts.ts';
import { nextStep, withEffect } from './view.ts';

/** GitHub refuses a comment above 65,536 characters. */
const LIMIT = 60_000;
const MAX_BLOCKING_ROWS = 50;

export interface CommentOptions extends LinkOptions {
  /** Identifies the comment among others of the pull request: workflow, job and tag. */
  readonly marker: string;
  /** The earlier comment said fail and this run does not: say that it is resolved. */
  readonly resolved?: boolean | undefined;
}

/** The hidden first line by which a later run finds its comment; `key` is reduced to characters that can't end an HTML comment. */
export function commentMarker(key: string): string {
  const safe = key
    .replace(/[^A-Za-z0-9 _./:-]+/g, '_')
    .replace(/-{2,}/g, '-')
    .slice(0, 200);
  return `<!-- mixgate ${safe} -->`;
}

/** The one comment of a pull request: verdict and counts first, blocking findings as a table, the rest folded. At most 60,000 characters. */
export function renderComment(report: Report, options: CommentOptions): string {
  const blocking = withEffect(report.findings, 'blocks');
  const title = options.resolved === true && blocking.length === 0 ? `${heading(report)} (resolved)` : heading(report);
  const head = [
    options.marker,
    `### ${title}`,
    ...(blocking.length === 0 ? [] : [blockingTable(blocking, options)]),
    markdown(nextStep(report)),
  ]
    .join('\n\n')
    .replace('-->\n\n', '-->\n');
  const closing = (left: readonly Part[]): string =>
    [...(left.length === 0 ? [] : [`_${describeLeft(left)} more in the job summary._`]), footer(report, options), ''].join(
      '\n\n',
    );
  return fitParts(head, parts(report, options), closing, LIMIT, (text) => text.length);
}

function blockingTable(findings: readonly Finding[], options: LinkOptions): string {
  const rows = findings
    .slice(0, MAX_BLOCKING_ROWS)
    .map((finding) => [
      `**${finding.ruleId}**`,
      place(finding.location, options),
      markdown(clip(finding.message, 300)),
      finding.fix === undefined ? '' : markdown(clip(finding.fix, 200)),
    ]);
  const more =
    findings.length > MAX_BLOCKING_ROWS
      ? `\n\n_${findings.length - MAX_BLOCKING_ROWS} more blocking findings in the job summary._`
      : '';
  return `${markdownTable(['rule', 'where', 'what', 'fix'], rows)}${more}`;
}

function parts(report: Report, options: CommentOptions): Part[] {
  const table = gateTable(report);
  const gates: Part[] = table === '' ? [] : [{ text: details('Gates', table), noun: 'gate table' }];
  const findings = (['blocks', 'warns', 'notes', 'waived'] as const).flatMap((effect) =>
    withEffect(report.findings, effect).map((finding) => ({
      text: details(summaryLine(finding), findingDetails(finding, options, 20)),
      noun: 'finding',
    })),
  );
  return [...gates, ...findings];
}

/** The summary element takes Markdown's inline escapes as they are, so this is a rule id, ours, and the word for its effect. */
function summaryLine(finding: Finding): string {
  const word = finding.waived !== false ? 'waived' : finding.blocking ? 'blocks' : finding.level;
  return `${word}: ${finding.ruleId}`;
}
