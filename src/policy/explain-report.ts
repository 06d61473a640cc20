import type { GateResult, Table } from '../core/gate.ts';
import type { Json } from '../core/json.ts';
import { shorten } from '../core/text.ts';
import { describeDefinition } from './attribution.ts';
import type { Counterfactual, Unfired } from './explain.ts';

/** What `policy explain` adds to a decision. */
export interface Explanation {
  /** Undefined when the policy can't be instrumented. */
  readonly unfired: readonly Unfired[] | undefined;
  readonly absent: readonly string[];
  readonly counterfactual: Counterfactual | undefined;
}

/** The explanation of a decision as data of the report. */
export function explainFacts({ unfired, absent, counterfactual }: Explanation): Record<string, Json> {
  return {
    ...(unfired === undefined
      ? {}
      : {
          notHeld: unfired.map((u) => ({
            ...describeDefinition(u.definition),
            ...(u.outranked === undefined ? {} : { outrankedBy: { ...describeDefinition(u.outranked) } }),
            ...(u.failed === undefined
              ? {}
              : {
                  failed: {
                    text: u.failed.text.slice(0, 200),
                    file: u.failed.location.file,
                    line: u.failed.location.line ?? 1,
                  },
                }),
            reads: u.reads.map((r) => ({ path: r.path, ...valueFact('value', r.value) })),
          })),
        }),
    absent: [...absent],
    ...(counterfactual === undefined
      ? {}
      : {
          counterfactual: {
            looked: counterfactual.looked,
            complete: counterfactual.complete,
            flips: counterfactual.flips.map((f) => ({
              changes: f.changes.map((c) => ({ path: c.path, ...valueFact('from', c.from), ...valueFact('to', c.to) })),
              ...valueFact('decision', f.decision),
            })),
          },
        }),
  };
}

/** An absent value is an absent member: null is a value. */
function valueFact(name: string, value: Json | undefined): Record<string, Json> {
  return value === undefined ? {} : { [name]: value };
}

/** The explanation of a decision as tables. */
export function explainTables({ unfired, absent, counterfactual }: Explanation): readonly Table[] {
  return [
    ...(unfired === undefined || unfired.length === 0
      ? []
      : [
          {
            title: 'Rules that did not hold',
            columns: ['Rule', 'Line', 'First expression that failed', 'What it read'],
            rows: unfired.map((u) => [
              u.definition.rule,
              `${u.definition.location.file}:${u.definition.location.line}`,
              whyNot(u),
              readText(u.reads),
            ]),
          },
        ]),
    ...(absent.length === 0 ? [] : [{ title: 'Absent input fields', columns: ['Field'], rows: absent.map((path) => [path]) }]),
    ...(counterfactual === undefined
      ? []
      : [
          {
            title: 'Smallest changes that flip the decision',
            columns: ['Change', 'Decision then'],
            rows: counterfactual.flips.map((f) => [f.changes.map(changeText).join(' and '), show(f.decision)]),
            note: lookedText(counterfactual),
          },
        ]),
  ];
}

/** The part of the text report below the decision. */
export function explainText(gate: GateResult): string {
  const lines: string[] = [];
  for (const table of gate.tables ?? []) {
    if (table.title === 'Rules that held') continue;
    lines.push(`${table.title.toLowerCase()}:`);
    for (const row of table.rows) {
      if (row.length === 4) lines.push(`  ${row[0]} (${row[1]})`, `      ${row[2]}${row[3] === '' ? '' : `; read ${row[3]}`}`);
      else lines.push(`  ${row.length === 2 ? `${row[0]}\n      ${row[1]}` : row[0]}`);
    }
    if (table.note !== undefined) lines.push(`  ${table.note}`);
    lines.push('');
  }
  return lines.join('\n');
}

function whyNot({ failed, outranked }: Unfired): string {
  const failure = failed === undefined ? undefined : `${failed.text.slice(0, 120)} (line ${failed.location.line})`;
  if (outranked !== undefined)
    return `an earlier line of its chain decided (line ${outranked.location.line})${failure === undefined ? '' : `, and ${failure} fails`}`;
  return failure ?? 'it would hold, but nothing that decided asked for it';
}

function readText(reads: Unfired['reads']): string {
  return reads.map((r) => `${r.path} = ${show(r.value)}`).join(', ');
}

function changeText(change: { readonly path: string; readonly from: Json | undefined; readonly to: Json | undefined }): string {
  return change.to === undefined ? `${change.path} left out` : `${change.path}: ${show(change.from)} → ${show(change.to)}`;
}

function lookedText({ looked, complete, flips }: Counterfactual): string {
  if (flips.length > 0) return `${looked} changed inputs evaluated, within the domain's choices.`;
  return complete
    ? `No change of one or two fields within the domain flips the decision (${looked} evaluated).`
    : `None of ${looked} changed inputs flips the decision; not every pair of fields was looked at.`;
}

function show(value: Json | undefined): string {
  if (value === undefined) return 'absent';
  return shorten(JSON.stringify(value), 160);
}
