import type { Finding } from '../core/finding.ts';
import type { GateResult } from '../core/gate.ts';
import type { Report } from '../core/report.ts';
import { clip, oneLine, xml, xmlAttribute } from './escape.ts';
import { describeEvidence } from './evidence.ts';
import type { RenderOptions } from './options.ts';
import { describeEffect, describeLocation, effectOf, findingsOutsideGates, withEffect } from './view.ts';

interface Case {
  readonly name: string;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  readonly result?: {
    readonly kind: 'failure' | 'error' | 'skipped' | 'system-out';
    readonly type: string;
    readonly message: string;
    readonly text: string;
  };
}

/**
 * JUnit XML: a suite a gate, a case a finding, and the gate's verdict as a case of its own where no finding carries it.
 * Blocking findings fail, missing evidence and gates that could not run are errors, waived findings are skipped.
 */
export function renderJunit(report: Report, options: Pick<RenderOptions, 'pathPrefix'> = {}): string {
  const suites = report.gates.map((gate) => ({ name: `mixgate.${gate.id}`, cases: casesOf(gate, options) }));
  const outside = findingsOutsideGates(report);
  if (outside.length > 0) suites.push({ name: 'mixgate.report', cases: outside.map((finding) => findingCase(finding, options)) });
  // A report of nothing must not read as success.
  if (suites.length === 0)
    suites.push({
      name: 'mixgate.report',
      cases: [verdictCase('report', report.verdict, `mixgate ended with ${report.verdict}.`)],
    });
  const all = suites.flatMap((suite) => suite.cases);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="mixgate" ${totals(all)}>`,
    ...suites.flatMap((suite) => [
      `  <testsuite name="${xmlAttribute(suite.name)}" ${totals(suite.cases)}>`,
      ...suite.cases.flatMap((item) => caseLines(item, suite.name)),
      '  </testsuite>',
    ]),
    '</testsuites>',
    '',
  ].join('\n');
}

function casesOf(gate: GateResult, options: Pick<RenderOptions, 'pathPrefix'>): Case[] {
  const cases = gate.findings.map((finding) => findingCase(finding, options));
  const carried = gate.verdict === 'fail' && withEffect(gate.findings, 'blocks').length > 0;
  return carried ? cases : [verdictCase(gate.id, gate.verdict, gate.reason), ...cases];
}

function verdictCase(name: string, verdict: GateResult['verdict'], reason: string): Case {
  const message = oneLine(clip(reason, 2_000));
  if (verdict === 'pass' || verdict === 'warn')
    return { name: `${name} verdict`, result: { kind: 'system-out', type: verdict, message, text: `${verdict}: ${message}` } };
  return {
    name: `${name} verdict`,
    result: { kind: verdict === 'fail' ? 'failure' : 'error', type: verdict, message, text: message },
  };
}

function findingCase(finding: Finding, options: Pick<RenderOptions, 'pathPrefix'>): Case {
  const effect = effectOf(finding);
  const kind = ({ blocks: 'failure', warns: 'system-out', notes: 'system-out', waived: 'skipped' } as const)[effect];
  const prefix = options.pathPrefix ?? '';
  const text = [
    `${describeEffect(finding)}: ${clip(finding.message, 4_000)}`,
    ...(finding.location === undefined ? [] : [`at ${describeLocation(finding.location)}`]),
    ...(finding.evidence === undefined ? [] : describeEvidence(finding.evidence)),
    ...(finding.fix === undefined ? [] : [`fix: ${clip(finding.fix, 2_000)}`]),
  ].join('\n');
  const place = describeLocation(finding.location);
  return {
    name: oneLine(
      `${finding.ruleId}${place === '' ? '' : ` ${place}`}${finding.subject === undefined ? '' : ` (${clip(finding.subject, 200)})`}`,
    ),
    ...(finding.location === undefined
      ? {}
      : { file: prefix === '' ? finding.location.file : `${prefix}/${finding.location.file}`, line: finding.location.line }),
    result: {
      kind,
      type: finding.ruleId,
      message: oneLine(clip(effect === 'waived' ? describeEffect(finding) : finding.message, 2_000)),
      text,
    },
  };
}

function totals(cases: readonly Case[]): string {
  const count = (kind: string): number => cases.filter((item) => item.result?.kind === kind).length;
  return `tests="${cases.length}" failures="${count('failure')}" errors="${count('error')}" skipped="${count('skipped')}"`;
}

function caseLines(item: Case, suite: string): string[] {
  const place =
    item.file === undefined ? '' : ` file="${xmlAttribute(item.file)}"${item.line === undefined ? '' : ` line="${item.line}"`}`;
  const open = `    <testcase classname="${xmlAttribute(suite)}" name="${xmlAttribute(item.name)}"${place}`;
  if (item.result === undefined) return [`${open}/>`];
  const { kind, type, message, text } = item.result;
  const attributes =
    kind === 'system-out'
      ? ''
      : kind === 'skipped'
        ? ` message="${xmlAttribute(message)}"`
        : ` type="${xmlAttribute(type)}" message="${xmlAttribute(message)}"`;
  return [`${open}>`, `      <${kind}${attributes}>${xml(text)}</${kind}>`, '    </testcase>'];
}
