import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { finding } from '../../src/core/finding.ts';
import { buildReport } from '../../src/core/report.ts';
import { renderJunit } from '../../src/report/junit.ts';
import { anyReport } from './arbitrary.ts';
import { passingReport, reportOf, sampleReport } from './sample.ts';

/** Parsed by Python's expat, an XML parser that is not ours. */
function parse(texts: readonly string[]): { tag: string; attributes: Record<string, string>; text: string }[][] {
  const script = [
    'import json, sys, xml.etree.ElementTree as E',
    'print(json.dumps([[{"tag": n.tag, "attributes": n.attrib, "text": n.text or ""} for n in E.fromstring(t.encode()).iter()] for t in json.load(sys.stdin)]))',
  ].join('\n');
  return JSON.parse(execFileSync('python3', ['-c', script], { input: JSON.stringify(texts), encoding: 'utf8', maxBuffer: 1e8 }));
}

const count = (nodes: readonly { tag: string }[], tag: string): number => nodes.filter((node) => node.tag === tag).length;

describe('junit', () => {
  test('a suite a gate; blocking fails, missing evidence errs, waived skips; the totals are right', () => {
    const [nodes] = parse([renderJunit(sampleReport())]);
    expect(nodes![0]!.attributes).toMatchObject({ name: 'mixgate', failures: '3', errors: '1', skipped: '1' });
    expect(count(nodes!, 'testsuite')).toBe(8);
    expect([count(nodes!, 'failure'), count(nodes!, 'error'), count(nodes!, 'skipped')]).toEqual([3, 1, 1]);
    expect(count(nodes!, 'testcase')).toBe(Number(nodes![0]!.attributes['tests']));
  });

  test('a passing gate is a passing case', () => {
    const [nodes] = parse([renderJunit(passingReport())]);
    expect([count(nodes!, 'testcase'), count(nodes!, 'failure'), count(nodes!, 'error')]).toEqual([1, 0, 0]);
  });

  test('a report without gates is an error, not a success', () => {
    const [nodes] = parse([renderJunit(buildReport([], sampleReport().provenance))]);
    expect(count(nodes!, 'error')).toBe(1);
  });

  test('hostile reports stay well-formed XML 1.0', () => {
    const texts = fc.sample(anyReport, { numRuns: 150, seed: 4 }).map((report) => renderJunit(report));
    expect(parse(texts)).toHaveLength(150);
  });

  test('text comes back as it was', () => {
    const [nodes] = parse([
      renderJunit(reportOf([finding({ ruleId: 'policy-x', level: 'error', message: 'a <b> & "c"\n]]> d' })])),
    ]);
    expect(nodes!.find((node) => node.tag === 'failure')!.text).toContain('a <b> & "c"\n]]> d');
  });
});
