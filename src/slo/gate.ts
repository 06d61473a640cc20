import type { Config, Section } from '../config/load.ts';
import { readText } from '../config/read.ts';
import type { Finding } from '../core/finding.ts';
import { type GateResult, gateResult, type Subject, type Table } from '../core/gate.ts';
import type { GateContext } from '../core/gate-context.ts';
import { sha256 } from '../core/json.ts';
import { plural } from '../core/text.ts';
import { compareObjectives } from './changes.ts';
import { formatDuration } from './duration.ts';
import { describeObjective } from './events.ts';
import { staleRules } from './generated.ts';
import { type LoadedSlos, loadSlos, readSloFiles } from './load.ts';
import { parseMaintenance } from './maintenance.ts';

/**
 * The SLO gate of a pull request: lints of the OpenSLO files, what the change loosens, and whether the generated rules are
 * current. Burn rates and budgets are judged by `mixgate slo gate`, which asks a running Prometheus.
 */
export async function runSloGate(context: GateContext, section: Section<'slo'>, _config: Config): Promise<GateResult> {
  const head = loadSlos(await readSloFiles(context.head, section.files), section.preset);
  const findings: Finding[] = [...head.findings];
  if (context.base !== undefined)
    findings.push(
      ...compareObjectives(
        (await loadBase(context, section))?.objectives ?? [],
        head.objectives,
        section.files[0]!,
        new Set(head.findings.filter((found) => found.blocking).map((found) => found.subject ?? '')),
      ),
    );
  if (section.rules !== undefined) findings.push(...(await staleRules(context.head, section.rules, head.objectives)));
  if (section.maintenance !== undefined) parseMaintenance(await readText(context.head, section.maintenance), section.maintenance);
  return gateResult({
    id: 'slo',
    findings,
    measurements: [{ name: 'slo.objectives', value: head.objectives.length, unit: '{objective}' }],
    tables: [objectiveTable(head)],
    subjects: subjectsOf(head.files),
    facts: { objectives: head.objectives.length, files: head.files.length },
    passReason: soundText(head),
  });
}

/** A base that doesn't parse (or has no SLOs) has nothing to be loosened. */
async function loadBase(context: GateContext, section: Section<'slo'>): Promise<LoadedSlos | undefined> {
  try {
    return loadSlos(await readSloFiles(context.base!, section.files), section.preset);
  } catch {
    return undefined;
  }
}

export function subjectsOf(files: readonly { readonly file: string; readonly text: string }[]): readonly Subject[] {
  return files.map(({ file, text }) => ({ name: file, digest: { sha256: sha256(text) } }));
}

/** `2 objectives in 4 files are sound`. */
export function soundText({ objectives, files }: LoadedSlos): string {
  return `${plural(objectives.length, 'objective')} in ${plural(files.length, 'file')} ${objectives.length === 1 ? 'is' : 'are'} sound`;
}

export function objectiveTable(slos: LoadedSlos): Table {
  return {
    title: 'Objectives',
    columns: ['SLO', 'Service', 'Target', 'Method', 'Alerts'],
    rows: slos.objectives.map((objective) => [
      objective.id,
      objective.service,
      describeObjective(objective),
      objective.method,
      objective.alerts
        .map(
          (rule) =>
            `${rule.severity} above ${rule.threshold}x over ${formatDuration(rule.longMs)}${rule.shortMs === undefined ? '' : ` and ${formatDuration(rule.shortMs)}`}`,
        )
        .join('; '),
    ]),
  };
}
