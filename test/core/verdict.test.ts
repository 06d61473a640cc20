import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runGate } from '../../src/commands/gates.ts';
import { type Finding, finding } from '../../src/core/finding.ts';
import type { GateResult } from '../../src/core/gate.ts';
import type { GateContext } from '../../src/core/gate-context.ts';
import { buildReport, reportExitCode } from '../../src/core/report.ts';
import { type ExitPolicy, exitCode, VERDICTS, type Verdict, worstVerdict } from '../../src/core/verdict.ts';

describe('worstVerdict', () => {
  it.each<[readonly Verdict[], Verdict]>([
    [['pass', 'pass'], 'pass'],
    [['pass', 'warn'], 'warn'],
    [['warn', 'inconclusive'], 'inconclusive'],
    [['inconclusive', 'fail'], 'fail'],
    [['fail', 'error'], 'error'],
    [[], 'inconclusive'],
  ])('%j → %s', (verdicts, expected) => {
    expect(worstVerdict(verdicts)).toBe(expected);
  });

  it('does not depend on order, and adding a verdict never improves it', () => {
    const verdict = fc.constantFrom(...VERDICTS);
    fc.assert(
      fc.property(fc.array(verdict, { minLength: 1 }), verdict, (list, more) => {
        expect(worstVerdict([...list].reverse())).toBe(worstVerdict(list));
        expect(VERDICTS.indexOf(worstVerdict([...list, more]))).toBeGreaterThanOrEqual(VERDICTS.indexOf(worstVerdict(list)));
      }),
    );
  });
});

describe('exitCode', () => {
  it.each([
    ['pass', {}, 0],
    ['warn', {}, 0],
    ['fail', {}, 1],
    ['error', {}, 3],
    ['inconclusive', {}, 4],
    ['error', { onError: 'warn' }, 0],
    ['inconclusive', { onInconclusive: 'warn' }, 0],
    ['fail', { onError: 'warn', onInconclusive: 'warn' }, 1],
    ['fail', { mode: 'warn' }, 0],
  ] as const)('%s with %j → %i', (verdict, policy, expected) => {
    expect(exitCode(verdict, policy)).toBe(expected);
  });
});

describe('reportExitCode', () => {
  const blocking = finding({ ruleId: 'slo-fixed-range', level: 'error', message: 'm' });
  const broken = finding({ ruleId: 'gate-error', level: 'error', message: 'could not run' });
  const gate = (id: 'slo' | 'policy' | 'drift', verdict: Verdict, findings: readonly Finding[] = []): GateResult => ({
    id,
    verdict,
    reason: '',
    findings,
    measurements: [],
  });
  const error = gate('policy', 'error', [broken]);
  const provenance = { tool: { name: 'mixgate', version: '0' }, command: 'c', seed: 1, tools: {} } as const;
  it.each<[string, readonly GateResult[], readonly Finding[], ExitPolicy, number]>([
    ['a gate that could not run is forgiven', [gate('slo', 'pass'), error], [], { onError: 'warn' }, 0],
    ['what another gate found is not', [gate('slo', 'fail', [blocking]), error], [], { onError: 'warn' }, 1],
    ['nor what was found beside the gates', [gate('slo', 'pass'), error], [blocking], { onError: 'warn' }, 1],
    ['nor evidence that is missing', [gate('slo', 'inconclusive'), error], [], { onError: 'warn' }, 4],
    ['which has its own switch', [gate('slo', 'inconclusive'), error], [], { onError: 'warn', onInconclusive: 'warn' }, 0],
    ['without the switch an error stays one', [gate('slo', 'fail', [blocking]), error], [], {}, 3],
    ['all gates forgiven', [error], [], { onError: 'warn' }, 0],
  ])('%s', (_name, gates, extra, policy, expected) => {
    expect(reportExitCode(buildReport(gates, provenance, extra), policy)).toBe(expected);
  });
});

it('a fault inside one gate is an error of that gate, and not the end of the others', async () => {
  const progress = { step() {}, warn() {}, fraction() {} };
  const context = { signal: new AbortController().signal, progress } as unknown as GateContext;
  const result = await runGate(
    {
      id: 'slo',
      configured: () => true,
      run: async () => {
        throw new RangeError('Maximum call stack size exceeded');
      },
    },
    context,
    { version: 1 },
  );
  expect(result.verdict).toBe('error');
  expect(result.findings.map((f) => [f.ruleId, f.message])).toEqual([
    ['gate-error', 'This is a fault of mixgate: Maximum call stack size exceeded'],
  ]);
});
