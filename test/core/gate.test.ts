import { describe, expect, it } from 'vitest';
import { finding } from '../../src/core/finding.ts';
import { firstSentence, gateResult } from '../../src/core/gate.ts';
import { applyWaivers, type Waiver } from '../../src/core/waiver.ts';

const error = finding({
  ruleId: 'policy-invariant-violated',
  level: 'error',
  message: 'EU data leaves the EU. See the example.',
  location: { file: 'a.rego', line: 3 },
  subject: 'eu-west',
});
const warning = finding({
  ruleId: 'policy-rule-dead',
  level: 'warning',
  message: 'A rule never fires.',
  location: { file: 'a.rego', line: 9 },
});
const gate = (findings: (typeof error)[], inconclusive?: string) =>
  gateResult({ id: 'policy', findings, passReason: 'nothing found', inconclusive });

describe('gateResult', () => {
  it('passes without findings, and says why', () => {
    expect(gate([])).toMatchObject({ verdict: 'pass', reason: 'nothing found' });
  });
  it('fails on a blocking finding and gives its first sentence', () => {
    expect(gate([warning, error])).toMatchObject({ verdict: 'fail', reason: 'EU data leaves the EU.' });
  });
  it('missing evidence outranks a warning and is never a pass', () => {
    expect(gate([warning], 'no samples')).toMatchObject({ verdict: 'inconclusive', reason: 'no samples' });
  });
  it('a proven failure outranks missing evidence', () => {
    expect(gate([error], 'no samples').verdict).toBe('fail');
  });
  it('gives the headline as its reason when a gate names one', () => {
    const other = finding({ ...error, message: 'A test fails.', location: { file: '0.rego', line: 1 } });
    const headline = gateResult({ id: 'policy', findings: [other, error], headline: error, passReason: '' });
    expect(headline.reason).toBe('EU data leaves the EU. (and 1 more)');
  });
  it('puts blocking findings first', () => {
    expect(gate([warning, error]).findings.map((f) => f.ruleId)).toEqual(['policy-invariant-violated', 'policy-rule-dead']);
  });
});

describe('finding ids', () => {
  it('stay when the line moves', () => {
    const moved = finding({ ...error, location: { file: 'a.rego', line: 30 }, subject: 'eu-west' });
    expect(moved.id).toBe(error.id);
  });
  it('differ by subject', () => {
    expect(finding({ ...error, subject: 'us-east' }).id).not.toBe(error.id);
  });
});

describe('firstSentence', () => {
  it.each([
    ['One. Two.', 'One.'],
    ['p99 is 1.5 ms now', 'p99 is 1.5 ms now'],
    ['See v1.2.3 of x. Next', 'See v1.2.3 of x.'],
  ])('%j → %j', (text, expected) => {
    expect(firstSentence(text)).toBe(expected);
  });
});

describe('waivers', () => {
  const waiver = (more: Partial<Waiver>): Waiver => ({
    rule: 'policy-invariant-violated',
    reason: 'migration',
    owner: 'sre',
    expires: '2026-12-31',
    location: { file: 'waivers.yaml', line: 2 },
    ...more,
  });

  it('hides what it covers, and the verdict is computed again', () => {
    const { gates, findings } = applyWaivers([gate([error, warning])], [waiver({})], '2026-11-22');
    expect(gates[0]).toMatchObject({ verdict: 'warn' });
    expect(gates[0]!.findings.find((f) => f.ruleId === error.ruleId)?.waived).toEqual({
      reason: 'migration',
      owner: 'sre',
      expires: '2026-12-31',
    });
    expect(findings).toEqual([]);
  });
  it('holds on its last day and not the day after', () => {
    expect(applyWaivers([gate([error])], [waiver({})], '2026-12-31').gates[0]!.verdict).toBe('pass');
    const after = applyWaivers([gate([error])], [waiver({})], '2027-01-01');
    expect(after.gates[0]!.verdict).toBe('fail');
    expect(after.findings).toMatchObject([
      { ruleId: 'waiver-expired', level: 'error', blocking: true, location: { file: 'waivers.yaml', line: 2 } },
    ]);
  });
  it.each([
    ['another file', { file: 'b.rego' }],
    ['another subject', { subject: 'us-east' }],
    ['another rule', { rule: 'policy-rule-dead' }],
  ])('does not cover %s, and says that it is unused', (_, scope) => {
    const { gates, findings } = applyWaivers([gate([error])], [waiver(scope)], '2026-11-22');
    expect(gates[0]!.verdict).toBe('fail');
    expect(findings.map((f) => f.ruleId)).toEqual(['waiver-unused']);
  });
  it('never turns an error or missing evidence into a pass', () => {
    expect(applyWaivers([gate([error], 'no samples')], [waiver({})], '2026-11-22').gates[0]!.verdict).toBe('inconclusive');
    const broken = { ...gate([error]), verdict: 'error' as const };
    expect(applyWaivers([broken], [waiver({})], '2026-11-22').gates[0]!.verdict).toBe('error');
  });
});
