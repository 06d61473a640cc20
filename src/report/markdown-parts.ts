import type { Finding, Location } from '../core/finding.ts';
import type { Report } from '../core/report.ts';
import type { Verdict } from '../core/verdict.ts';
import { clip, markdown, markdownBlock, markdownCode, oneLine } from './escape.ts';
import { describeEvidence } from './evidence.ts';
import type { RenderOptions } from './options.ts';
import {
  countEffects,
  describeCounts,
  describeEffect,
  describeLocation,
  describeProvenance,
  describeRange,
  type Effect,
  effectOf,
} from './view.ts';

/** Pieces that the job summary and the pull-request comment share. */

const VERDICT_ICON: Record<Verdict, string> = { pass: '✅', warn: '⚠️', inconclusive: '❔', fail: '❌', error: '🛑' };
const EFFECT_ICON: Record<Effect, string> = { blocks: '❌', warns: '⚠️', notes: 'ℹ️', waived: '🔕' };

export type LinkOptions = Pick<RenderOptions, 'links' | 'pathPrefix'>;

export function heading(report: Report): string {
  return `${VERDICT_ICON[report.verdict]} mixgate: ${report.verdict}, ${describeCounts(countEffects(report.findings))}`;
}

export function gateTable(report: Report): string {
  const rows = report.gates.map((gate) => [
    gate.id,
    `${VERDICT_ICON[gate.verdict]} ${gate.verdict}`,
    describeCounts(countEffects(gate.findings)).replace('no findings', ''),
    markdown(clip(gate.reason, 400)),
  ]);
  // A run that no gate came to has nothing but its findings.
  return rows.length === 0 ? '' : markdownTable(['gate', 'verdict', 'findings', 'why'], rows);
}

/** Cells must be escaped by the caller. */
export function markdownTable(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${columns.map((_, index) => cells[index] ?? '').join(' | ')} |`;
  return [line(columns), `| ${columns.map(() => '---').join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** The place as code, linked to the file at the head commit where the repository is known. */
export function place(location: Location | undefined, options: LinkOptions): string {
  if (location === undefined) return '';
  const shown = markdownCode(clip(describeLocation(location), 300));
  const { links } = options;
  if (links?.commit === undefined) return shown;
  const path = [...(options.pathPrefix ?? '').split('/'), ...location.file.split('/')].filter(
    (part) => part !== '' && part !== '.',
  );
  const line = location.line === undefined ? '' : `#L${location.line}`;
  return `[${shown}](${links.repositoryUrl}/blob/${links.commit}/${path.map(urlPart).join('/')}${line})`;
}

/** Also the characters that end a Markdown link target. */
function urlPart(part: string): string {
  return encodeURIComponent(part.toWellFormed()).replace(
    /[()'*!~]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** One finding in full: message, place, counterexample, fix. */
export function findingDetails(finding: Finding, options: LinkOptions, evidenceLines = 30): string {
  const effect = effectOf(finding);
  const lines = [
    `${EFFECT_ICON[effect]} **${finding.ruleId}** ${place(finding.location, options)} (${markdown(describeEffect(finding))})`.replace(
      '  ',
      ' ',
    ),
    '',
    markdown(clip(finding.message, 2_000)),
  ];
  for (const other of (finding.related ?? []).slice(0, 10)) {
    lines.push('', `See ${place(other, options)}${other.message === undefined ? '' : `: ${markdown(clip(other.message, 300))}`}`);
  }
  if (finding.evidence !== undefined)
    lines.push('', markdownBlock(describeEvidence(finding.evidence, { lines: evidenceLines, columns: 300 }).join('\n'), 'yaml'));
  if (finding.fix !== undefined) lines.push('', `**Fix:** ${fix(finding.fix)}`);
  return lines.join('\n');
}

/** A fix of several lines is code to paste. */
function fix(text: string): string {
  const clipped = clip(text.trim(), 2_000);
  return clipped.includes('\n') ? `\n\n${markdownBlock(clipped)}` : markdown(clipped);
}

/** Blank lines inside are needed: GitHub parses Markdown in a details element only after one. */
export function details(summary: string, body: string): string {
  return `<details>\n<summary>${summary}</summary>\n\n${body}\n\n</details>`;
}

export function footer(report: Report, options: LinkOptions): string {
  const parts = [describeRange(report), describeProvenance(report), policyBundle(report)]
    .filter((part) => part !== '')
    .map((part) => markdown(part));
  const run = options.links?.runUrl;
  if (run !== undefined) parts.push(`[run](${run})`);
  return `<sub>${parts.join(' · ')}</sub>`;
}

function policyBundle(report: Report): string {
  const subject = report.gates.find((gate) => gate.id === 'policy')?.subjects?.find((item) => 'sha256' in item.digest);
  return subject === undefined ? '' : `${oneLine(subject.name)} sha256:${oneLine(subject.digest['sha256'] ?? '').slice(0, 12)}`;
}
