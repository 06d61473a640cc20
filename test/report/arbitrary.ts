import fc from 'fast-check';
import { type Finding, finding } from '../../src/core/finding.ts';
import { type Chart, GATE_IDS, type GateResult, gateResult, type Measurement } from '../../src/core/gate.ts';
import type { Json } from '../../src/core/json.ts';
import { buildReport, type Report } from '../../src/core/report.ts';
import { VERDICTS } from '../../src/core/verdict.ts';

// The same cases in every run.
fc.configureGlobal({ seed: 20260101 });

/** Text that a pull request or a model may hold, biased to what breaks formats. */
const hostileText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 12 }),
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.constantFrom(
        '<script>alert(1)</script>',
        '<!--',
        '-->',
        '</style>',
        '"><img src=x onerror=alert(1)>',
        '@everyone',
        '@octocat',
        '#123',
        'GH-42',
        '| a | b |',
        '```',
        '`',
        '``',
        '](javascript:alert(1))',
        '![x](https://evil.example/x.png)',
        'https://evil.example',
        'www.evil.example',
        '\n\n# heading',
        '\n::set-output name=verdict::pass',
        '::error::x',
        '##[error]x',
        '\r\n',
        '\u001b[31mred\u001b[0m',
        '\u0000',
        '\u0007',
        '\u009b31m',
        '\u202e',
        '\u2066',
        '\u200b',
        '\ufeff',
        '\ud800',
        '\udc00',
        ']]>',
        '&amp;',
        '%0A',
        '</details>',
        '$x^2$',
        '~~x~~',
        '{{ x }}',
        '\t',
        '\u2028',
      ),
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.join(''));

const number = fc.oneof(
  fc.double(),
  fc.integer({ min: -1000, max: 1000 }),
  fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 1e-300, 1e300),
);
const verdict = fc.constantFrom(...VERDICTS);
const evidence = fc.option(
  fc.jsonValue({ maxDepth: 3 }).map((value) => value as Json),
  { nil: undefined },
);

const location = fc.record({
  file: fc.oneof(
    fc.constant('policies/routing.rego'),
    hostileText.map((text) => `dir/${text}`),
  ),
  line: fc.integer({ min: 1, max: 9 }),
  column: fc.integer({ min: 1, max: 9 }),
});

const findings: fc.Arbitrary<Finding> = fc
  .record({
    ruleId: fc.constantFrom('policy-invariant-violated', 'drift-route-weight', 'slo-burn-rate'),
    level: fc.constantFrom('error' as const, 'warning' as const, 'note' as const),
    message: hostileText,
    location: fc.option(location, { nil: undefined }),
    related: fc.option(fc.array(location, { maxLength: 2 }), { nil: undefined }),
    evidence,
    fix: fc.option(hostileText, { nil: undefined }),
    subject: fc.option(
      hostileText.map((text) => text.toWellFormed()),
      { nil: undefined },
    ),
    waived: fc.boolean(),
  })
  .map(({ waived, ...input }) => ({
    ...finding({ ...input, message: input.message.toWellFormed() }),
    message: input.message,
    waived: waived ? { reason: '@all <b>', owner: 'team|x', expires: '2027-01-01' } : (false as const),
  }));

const measurement: fc.Arbitrary<Measurement> = fc.record(
  {
    name: hostileText,
    value: number,
    unit: fc.constantFrom('1', 's', 'By', '{request}', '<b>'),
    cluster: hostileText,
    segment: hostileText,
    baseline: number,
    candidate: number,
    interval: fc.tuple(number, number),
    margin: number,
    mde: number,
    verdict,
    method: hostileText,
    limit: number,
    n: number,
    volatile: fc.boolean(),
  },
  { requiredKeys: ['name', 'value', 'unit'] },
);

const names = fc.array(hostileText, { maxLength: 4 });
const chart: fc.Arbitrary<Chart> = fc.oneof(
  fc.record({
    kind: fc.constant('bar' as const),
    title: hostileText,
    yLabel: hostileText,
    categories: names,
    series: fc.array(fc.record({ name: hostileText, values: fc.array(number, { maxLength: 4 }) }), { maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constant('line' as const),
    title: hostileText,
    logX: fc.boolean(),
    series: fc.array(
      fc.record({ name: hostileText, points: fc.array(fc.tuple(number, number), { maxLength: 5 }), step: fc.boolean() }),
      { maxLength: 3 },
    ),
    limits: fc.array(fc.record({ name: hostileText, value: number }), { maxLength: 2 }),
  }),
  fc.record({
    kind: fc.constant('forest' as const),
    title: hostileText,
    reference: fc.constantFrom(0, 1),
    margin: fc.constantFrom(0, 0.1),
    rows: fc.array(fc.record({ label: hostileText, effect: number, low: number, high: number, verdict }), { maxLength: 4 }),
  }),
  fc.record({
    kind: fc.constant('heatmap' as const),
    title: hostileText,
    xCategories: names,
    yCategories: names,
    values: fc.array(fc.array(number, { maxLength: 4 }), { maxLength: 4 }),
  }),
);

const gate: fc.Arbitrary<GateResult> = fc
  .record({
    id: fc.constantFrom(...GATE_IDS),
    findings: fc.array(findings, { maxLength: 4 }),
    measurements: fc.array(measurement, { maxLength: 3 }),
    tables: fc.array(
      fc.record({
        title: hostileText,
        columns: names,
        rows: fc.array(names, { maxLength: 3 }),
        note: hostileText,
        details: fc.array(hostileText, { maxLength: 2 }),
      }),
      { maxLength: 2 },
    ),
    charts: fc.array(chart, { maxLength: 2 }),
    passReason: hostileText,
    inconclusive: fc.option(hostileText, { nil: undefined }),
  })
  .map((input) => gateResult(input));

/** Any report, most of its text hostile. */
export const anyReport: fc.Arbitrary<Report> = fc
  .record({ gates: fc.array(gate, { maxLength: 3 }), extra: fc.array(findings, { maxLength: 2 }), ref: hostileText })
  .map(({ gates, extra, ref }) =>
    buildReport(
      gates,
      {
        tool: { name: 'mixgate', version: '0.1.0' },
        command: 'mixgate check',
        base: { ref, commit: 'a'.repeat(40) },
        seed: 7,
        tools: { opa: '1.21.1' },
        configFrom: ref,
      },
      extra,
    ),
  );
