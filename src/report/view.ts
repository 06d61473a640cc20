import type { Finding, Location } from '../core/finding.ts';
import type { GateResult, Measurement, Table } from '../core/gate.ts';
import type { Report } from '../core/report.ts';
import { plural } from '../core/text.ts';
import type { Verdict } from '../core/verdict.ts';

/** What a finding does to the verdict: every format says it. */
export type Effect = 'blocks' | 'warns' | 'notes' | 'waived';

export function effectOf(finding: Finding): Effect {
  if (finding.waived !== false) return 'waived';
  if (finding.blocking) return 'blocks';
  return finding.level === 'note' ? 'notes' : 'warns';
}

export interface Counts {
  readonly blocks: number;
  readonly warns: number;
  readonly notes: number;
  readonly waived: number;
}

export function countEffects(findings: readonly Finding[]): Counts {
  const counts = { blocks: 0, warns: 0, notes: 0, waived: 0 };
  for (const finding of findings) counts[effectOf(finding)] += 1;
  return counts;
}

/** `4 blocking, 1 warning, 2 waived`; `no findings` when there are none. */
export function describeCounts(counts: Counts): string {
  const parts = [
    counts.blocks > 0 ? `${counts.blocks} blocking` : '',
    counts.warns > 0 ? plural(counts.warns, 'warning') : '',
    counts.notes > 0 ? plural(counts.notes, 'note') : '',
    counts.waived > 0 ? `${counts.waived} waived` : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'no findings' : parts.join(', ');
}

export function withEffect(findings: readonly Finding[], effect: Effect): readonly Finding[] {
  return findings.filter((finding) => effectOf(finding) === effect);
}

/** `blocks`, `warns`, `note`, `waived until 2027-01-31 by platform: reason`. */
export function describeEffect(finding: Finding): string {
  if (finding.waived === false) return { blocks: 'blocks', warns: 'warns', notes: 'note', waived: '' }[effectOf(finding)];
  return `waived until ${finding.waived.expires} by ${finding.waived.owner}: ${finding.waived.reason}`;
}

export function describeLocation(location: Location | undefined): string {
  if (location === undefined) return '';
  const line = location.line === undefined ? '' : `:${location.line}`;
  const column = line === '' || location.column === undefined ? '' : `:${location.column}`;
  return `${location.file}${line}${column}`;
}

/** Findings that belong to no gate: those about waivers. */
export function findingsOutsideGates(report: Report): readonly Finding[] {
  const inside = new Set(report.gates.flatMap((gate) => gate.findings.map((finding) => finding.id)));
  return report.findings.filter((finding) => !inside.has(finding.id));
}

/** What to do next: the last line of every report for people. */
export function nextStep(report: Report): string {
  const blocking = withEffect(report.findings, 'blocks');
  const undecided = (verdict: Verdict): GateResult | undefined => report.gates.find((gate) => gate.verdict === verdict);
  switch (report.verdict) {
    case 'pass':
      return 'Nothing blocks this change.';
    case 'warn':
      return `Nothing blocks this change; look at ${plural(countEffects(report.findings).warns, 'warning')} before it goes out.`;
    case 'fail': {
      const first = blocking[0];
      if (first === undefined)
        return `Next: ${undecided('fail')?.id ?? 'a gate'} failed: ${undecided('fail')?.reason ?? 'see above'}`;
      const where = first.location === undefined ? '' : ` at ${describeLocation(first.location)}`;
      const one =
        blocking.length === 1
          ? 'fix the blocking finding'
          : `fix the ${blocking.length} blocking findings, first ${first.ruleId}`;
      return `Next: ${one}${where}; \`mixgate explain ${first.ruleId}\` says how.`;
    }
    case 'inconclusive': {
      const gate = undecided('inconclusive');
      return gate === undefined
        ? 'Next: no gate ran; name one in mixgate.yaml.'
        : `Next: give ${gate.id} the evidence it lacks: ${gate.reason}`;
    }
    case 'error': {
      const gate = undecided('error');
      if (gate !== undefined) return `Next: make ${gate.id} able to run: ${gate.reason}`;
      const first = blocking[0];
      return blocking.length > 1
        ? `Next: correct the ${blocking.length} findings that kept mixgate from running.`
        : `Next: ${first === undefined ? 'see the log.' : `correct what kept mixgate from running: ${first.fix ?? first.message}`}`;
    }
  }
}

/** `main 1a2b3c4 → feature 5d6e7f8`, as far as known. */
export function describeRange(report: Report): string {
  const side = (value: { readonly ref: string; readonly commit: string } | undefined): string | undefined => {
    if (value === undefined) return undefined;
    const short = value.commit.slice(0, 12);
    return value.commit.startsWith(value.ref) || value.ref.startsWith(short) ? short : `${value.ref} ${short}`;
  };
  const [base, head] = [side(report.provenance.base), side(report.provenance.head)];
  return base === undefined ? (head ?? '') : `${base} → ${head ?? 'working tree'}`;
}

/** `mixgate 0.1.0, opa 1.21.1, seed 42, configuration from base 1a2b3c4`. */
export function describeProvenance(report: Report): string {
  const { tool, tools, seed, configFrom } = report.provenance;
  const parts = [
    `${tool.name} ${tool.version}`,
    ...Object.entries(tools).map(([name, version]) => `${name} ${version}`),
    `seed ${seed}`,
    ...(configFrom === undefined ? [] : [`configuration from ${configFrom}`]),
  ];
  return parts.join(', ');
}

/** The rows that a report with little room shows, and what it says of the others: `and 37 more pass`. */
export function foldTable(table: Table, most: number): { readonly rows: Table['rows']; readonly more: string | undefined } {
  const { rows, fold } = table;
  if (rows.length <= most) return { rows, more: undefined };
  const where = 'the JSON and HTML reports have the whole table';
  if (fold === undefined) return { rows: rows.slice(0, most), more: `${plural(rows.length - most, 'more row')}; ${where}` };
  const shown = Math.min(most, Math.max(fold.from, Math.floor(most / 2)));
  const alike = rows.length - Math.max(shown, fold.from);
  const others = Math.max(0, fold.from - shown);
  return {
    rows: rows.slice(0, shown),
    more: `${others > 0 ? `and ${others} more, and ${alike} that ${fold.what}` : `and ${alike} more ${fold.what}`}; ${where}`,
  };
}

/** Measurements that people look at first: with a verdict, a limit or a comparison; others after them. */
export function rankMeasurements(measurements: readonly Measurement[]): readonly Measurement[] {
  const rank = (m: Measurement): number =>
    m.verdict !== undefined && m.verdict !== 'pass'
      ? 0
      : m.verdict !== undefined
        ? 1
        : m.limit !== undefined || m.baseline !== undefined
          ? 2
          : 3;
  return [...measurements]
    .map((m, index) => ({ m, index }))
    .sort((a, b) => rank(a.m) - rank(b.m) || a.index - b.index)
    .map(({ m }) => m);
}
