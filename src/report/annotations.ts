import type { Finding } from '../core/finding.ts';
import type { Report } from '../core/report.ts';
import { clip, commandData, commandProperty, oneLine, visible, withoutCommands } from './escape.ts';
import type { RenderOptions } from './options.ts';
import { describeEffect, effectOf } from './view.ts';

/** GitHub shows ten annotations of a level a step and drops the rest silently: nine, and one that says how many more. */
const SHOWN_PER_LEVEL = 9;

export interface AnnotationOptions extends Pick<RenderOptions, 'pathPrefix'> {
  /** Paths that the change touches, as findings name them: annotations there are seen in the diff and come first. */
  readonly changed?: ReadonlySet<string> | undefined;
}

type Level = 'error' | 'warning' | 'notice';

/** Workflow commands (`::error file=...::message`) for the findings, blocking first, at most ten a level. */
export function renderAnnotations(report: Report, options: AnnotationOptions = {}): string {
  const levels: Record<Level, Finding[]> = { error: [], warning: [], notice: [] };
  for (const finding of report.findings) levels[levelOf(finding)].push(finding);
  const lines = (Object.entries(levels) as [Level, Finding[]][]).flatMap(([level, all]) => {
    const ordered = inDiffFirst(all, options.changed);
    // The tenth may be a finding when there are just ten.
    const shown = ordered.length <= SHOWN_PER_LEVEL + 1 ? ordered : ordered.slice(0, SHOWN_PER_LEVEL);
    const more = ordered.length - shown.length;
    return [
      ...shown.map((finding) => annotation(level, finding, options)),
      ...(more === 0 ? [] : [`::${level} title=mixgate::${commandData(`and ${more} more, see the job summary`)}`]),
    ];
  });
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function levelOf(finding: Finding): Level {
  return ({ blocks: 'error', warns: 'warning', notes: 'notice', waived: 'notice' } as const)[effectOf(finding)];
}

function inDiffFirst(findings: readonly Finding[], changed: ReadonlySet<string> | undefined): readonly Finding[] {
  if (changed === undefined) return findings;
  const inDiff = (finding: Finding): boolean => finding.location !== undefined && changed.has(finding.location.file);
  return [...findings.filter(inDiff), ...findings.filter((finding) => !inDiff(finding))];
}

function annotation(level: Level, finding: Finding, options: AnnotationOptions): string {
  const { location } = finding;
  const properties: string[] = [];
  if (location !== undefined) {
    const prefix = options.pathPrefix ?? '';
    properties.push(
      `file=${commandProperty(withoutCommands(visible(prefix === '' ? location.file : `${prefix}/${location.file}`)))}`,
    );
    if (location.line !== undefined) {
      const endLine = Math.max(location.line, location.endLine ?? location.line);
      properties.push(`line=${location.line}`, `endLine=${endLine}`);
      // GitHub refuses columns when an annotation spans lines.
      if (endLine === location.line && location.column !== undefined) {
        properties.push(
          `col=${location.column}`,
          `endColumn=${Math.max(location.column, location.endColumn ?? location.column)}`,
        );
      }
    }
  }
  properties.push(
    `title=${commandProperty(withoutCommands(clip(`${finding.ruleId} (${oneLine(describeEffect(finding))})`, 200)))}`,
  );
  const text = [
    visible(clip(finding.message, 3_000)),
    ...(finding.fix === undefined ? [] : [`Fix: ${visible(clip(finding.fix, 1_000))}`]),
  ].join('\n');
  return `::${level} ${properties.join(',')}::${commandData(withoutCommands(text))}`;
}
