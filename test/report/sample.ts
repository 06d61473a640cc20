import { type Finding, finding } from '../../src/core/finding.ts';
import { type GateResult, gateResult } from '../../src/core/gate.ts';
import { buildReport, type Provenance, type Report } from '../../src/core/report.ts';

const PROVENANCE: Provenance = {
  tool: { name: 'mixgate', version: '0.1.0' },
  command: 'mixgate check',
  base: { ref: 'origin/main', commit: '1f3c5a7e9b0d2f4a6c8e1b3d5f7a9c0e2d4f6b81' },
  head: { ref: 'reroute-eu', commit: '9b2d4f6a8c0e1f3d5b7a9c1e3f5d7b9a0c2e4f68' },
  configFrom: 'base 1f3c5a7e9b0d',
  seed: 2602392938,
  tools: { kustomize: '5.8.1', opa: '1.21.1' },
};

/** A report of a change that is blocked: every gate, every verdict but `error`, every kind of chart. */
export function sampleReport(): Report {
  return buildReport([telemetry(), policy(), catalog(), drift(), canary(), slo(), promotion()], PROVENANCE, [
    finding({
      ruleId: 'waiver-unused',
      level: 'warning',
      message: 'The waiver for catalog-licence-missing covers no finding.',
      location: { file: 'waivers.yaml', line: 9, column: 3 },
      subject: 'catalog-licence-missing',
      fix: 'Delete it, or correct its scope.',
    }),
  ]);
}

/** A report in which nothing was found. */
export function passingReport(): Report {
  return buildReport(
    [gateResult({ id: 'policy', findings: [], passReason: '3 invariants hold on 18432 of 18432 inputs.' })],
    PROVENANCE,
  );
}

export function reportOf(findings: readonly Finding[], more: Partial<GateResult> = {}): Report {
  return buildReport([{ ...gateResult({ id: 'policy', findings, passReason: 'Nothing found.' }), ...more }], PROVENANCE);
}

function telemetry(): GateResult {
  return gateResult({
    id: 'telemetry',
    passReason: 'No breaking change.',
    findings: [
      finding({
        ruleId: 'telemetry-metric-unit-changed',
        level: 'error',
        message:
          'The unit of `gen_ai.server.time_to_first_token` changes from s to ms. Two SLOs read it and would see values 1000 times larger.',
        location: { file: 'telemetry/registry/inference.yaml', line: 41, column: 11, endLine: 41, endColumn: 13 },
        related: [{ file: 'slo/ttft.yaml', line: 22, message: 'threshold 0.8 reads this metric' }],
        evidence: {
          metric: 'gen_ai.server.time_to_first_token',
          base: { unit: 's', instrument: 'histogram' },
          head: { unit: 'ms', instrument: 'histogram' },
          slos: ['ttft-eu', 'ttft-us'],
        },
        fix: 'Keep the unit s, or add a new metric and deprecate this one.',
        subject: 'gen_ai.server.time_to_first_token',
      }),
      finding({
        ruleId: 'telemetry-attribute-deprecated',
        level: 'note',
        message: 'The attribute `gen_ai.system` is deprecated upstream.',
        location: { file: 'telemetry/registry/inference.yaml', line: 12 },
        fix: 'Use `gen_ai.provider.name`.',
      }),
    ],
    tables: [
      {
        title: 'Changes by field',
        columns: ['signal', 'field', 'base', 'head', 'effect'],
        rows: [
          ['gen_ai.server.time_to_first_token', 'unit', 's', 'ms', 'breaking'],
          ['mixgate.moe.expert.usage', 'attribute layer', '', 'required', 'compatible'],
        ],
      },
    ],
    measurements: [{ name: 'telemetry.samples.conforming', value: 0.9974, unit: '1', n: 1532, limit: 0.99, verdict: 'pass' }],
  });
}

function policy(): GateResult {
  return gateResult({
    id: 'policy',
    passReason: 'Every invariant holds.',
    findings: [
      finding({
        ruleId: 'policy-invariant-violated',
        level: 'error',
        message:
          'Restricted EU data reaches a pool outside the EU when `eu-west-gpu` is saturated. 96 of 18432 inputs violate the invariant `residency`.',
        location: { file: 'policies/routing/fallback.rego', line: 27, column: 3, endLine: 27, endColumn: 41 },
        evidence: {
          input: {
            request: { tenant: 'nordbank', data_class: 'restricted', origin_region: 'eu-west-1' },
            fleet: { pools: [{ id: 'eu-west-gpu', saturation: 0.97 }] },
          },
          decision: { allow: true, target: { cluster: 'us-east', pool: 'us-east-gpu' }, rule: 'overflow' },
          violations: '96 of 18432',
        },
        fix: "Limit the overflow rule to pools whose jurisdiction is the tenant's: `pool.jurisdiction == input.request.jurisdiction`.",
        subject: 'residency',
      }),
    ],
    tables: [
      {
        title: 'Decisions that change (replay of 4 812 requests)',
        columns: ['class', 'requests', 'share', 'example'],
        rows: [
          ['widened', '96', '2.0 %', 'nordbank restricted → us-east-gpu'],
          ['rerouted', '311', '6.5 %', 'initech public: ap-south-gpu → ap-south-cpu'],
          ['reason only', '42', '0.9 %', 'quota → quota-soft'],
          ['unchanged', '4363', '90.7 %', ''],
        ],
        note: 'Widened decisions allow what was denied before.',
      },
    ],
    charts: [
      {
        kind: 'bar',
        title: 'Requests by target pool',
        yLabel: 'requests',
        categories: ['us-east-gpu', 'us-east-cpu', 'eu-west-gpu', 'eu-west-cpu', 'ap-south-gpu', 'ap-south-cpu'],
        series: [
          { name: 'base', values: [1802, 211, 1490, 340, 702, 267] },
          { name: 'head', values: [1898, 211, 1394, 340, 391, 578] },
        ],
      },
    ],
    measurements: [
      { name: 'policy.evaluation.p50', value: 0.041, unit: 'ms', volatile: true },
      { name: 'policy.evaluation.p99', value: 0.183, unit: 'ms', limit: 10, verdict: 'pass', n: 20000, volatile: true },
      { name: 'policy.test.coverage', value: 0.942, unit: '1', limit: 0.9, verdict: 'pass' },
    ],
  });
}

function catalog(): GateResult {
  return gateResult({
    id: 'catalog',
    passReason: 'Every model fits.',
    findings: [
      finding({
        ruleId: 'catalog-memory-exceeded',
        level: 'error',
        message: 'mixtral-8x7b-instruct 1.1.0 needs 103.9 GiB on ap-south-gpu, which has 80 GiB.',
        location: { file: 'catalog/models/mixtral-8x7b-instruct.yaml', line: 18, column: 5 },
        evidence: { weights_gib: 87.0, kv_cache_gib: 8.0, activations_gib: 8.9, pool_gib: 80 },
        fix: 'Use the q4_k_m artifact (24.6 GiB of weights), or a pool of two accelerators.',
        subject: 'ap-south-gpu',
      }),
      {
        ...finding({
          ruleId: 'catalog-owner-missing',
          level: 'error',
          message: 'mixtral-micro 1.0.0 has no owner.',
          location: { file: 'catalog/models/mixtral-micro.yaml', line: 3 },
        }),
        waived: { reason: 'owner named after the reorganisation', owner: 'platform', expires: '2027-01-31' },
      },
    ],
    measurements: [
      {
        name: 'catalog.memory.required',
        value: 111_562_000_000,
        unit: 'By',
        limit: 85_899_345_920,
        cluster: 'ap-south',
        verdict: 'fail',
      },
      {
        name: 'catalog.memory.required',
        value: 42_090_000_000,
        unit: 'By',
        limit: 85_899_345_920,
        cluster: 'eu-west',
        verdict: 'pass',
      },
    ],
  });
}

function drift(): GateResult {
  return gateResult({
    id: 'drift',
    passReason: 'Every cluster is as desired.',
    findings: [
      finding({
        ruleId: 'drift-route-weight',
        level: 'warning',
        message: 'us-east sends 30 % of chat traffic to the CPU pool; Git says 10 %.',
        location: { file: 'clusters/us-east/route.yaml', line: 31, column: 11 },
        evidence: '- weight: 10\n+ weight: 30',
        subject: 'us-east',
      }),
    ],
    charts: [
      {
        kind: 'heatmap',
        title: 'Expert usage against the fleet mean, layer 3',
        xLabel: 'expert',
        yLabel: 'cluster',
        xCategories: ['0', '1', '2', '3', '4', '5', '6', '7'],
        yCategories: ['us-east', 'eu-west', 'ap-south'],
        values: [
          [0.121, 0.13, 0.118, 0.127, 0.124, 0.122, 0.131, 0.127],
          [0.12, 0.128, 0.121, 0.125, 0.126, 0.124, 0.129, 0.127],
          [0.07, 0.19, 0.11, 0.052, 0.171, 0.12, 0.16, 0.127],
        ],
        min: 0,
        max: 0.25,
      },
    ],
  });
}

function canary(): GateResult {
  return gateResult({
    id: 'canary',
    passReason: 'The candidate is not worse.',
    inconclusive: 'Error rate: 2 of 400 against 0 of 400; about 620 more requests per arm would decide.',
    findings: [],
    charts: [
      {
        kind: 'forest',
        title: 'Candidate against baseline',
        xLabel: 'ratio of medians',
        reference: 1,
        margin: 0.1,
        rows: [
          { label: 'time to first token', effect: 1.021, low: 0.994, high: 1.049, verdict: 'pass' },
          { label: 'inter-token latency', effect: 1.004, low: 0.998, high: 1.011, verdict: 'pass' },
          { label: 'end-to-end latency', effect: 1.13, low: 1.062, high: 1.201, verdict: 'inconclusive' },
          { label: 'perplexity, German', effect: 1.31, low: 1.22, high: 1.41, verdict: 'fail' },
        ],
      },
      {
        kind: 'heatmap',
        title: 'Routing drift by layer and segment',
        xCategories: ['L0', 'L1', 'L2', 'L3'],
        yCategories: ['english', 'german', 'french', 'code', 'json'],
        values: [
          [0.004, 0.006, 0.011, 0.005],
          [0.005, 0.092, 0.171, 0.033],
          [0.004, 0.011, 0.02, 0.008],
          [0.002, 0.003, 0.004, 0.003],
          [0.001, 0.002, 0.002, 0.001],
        ],
        note: 'Jensen-Shannon distance of expert usage, 0 to 1.',
      },
    ],
    measurements: [
      {
        name: 'canary.ttft',
        value: 0.0087,
        unit: 's',
        baseline: 0.412,
        candidate: 0.4207,
        interval: [-0.0025, 0.0199],
        margin: 0.04,
        mde: 0.016,
        n: 400,
        method: 'Hodges-Lehmann, paired',
        verdict: 'pass',
        volatile: true,
      },
      {
        name: 'canary.error.rate',
        value: 0.005,
        unit: '1',
        baseline: 0,
        candidate: 0.005,
        interval: [-0.002, 0.018],
        margin: 0.01,
        n: 400,
        method: 'Newcombe',
        verdict: 'inconclusive',
      },
    ],
  });
}

function slo(): GateResult {
  const points = (scale: number): (readonly [number, number])[] =>
    Array.from({ length: 48 }, (_, i) => [i / 2, scale * (1 + Math.sin(i / 5) + (i > 34 ? (i - 34) / 4 : 0))] as const);
  return gateResult({
    id: 'slo',
    passReason: 'No burn rate above its limit; 71.4 % of the budget is left.',
    findings: [],
    charts: [
      {
        kind: 'line',
        title: 'Error budget burn rate, last 24 h',
        xLabel: 'hours',
        yLabel: 'burn rate',
        series: [
          { name: 'availability-eu', points: points(0.7) },
          { name: 'ttft-eu', points: points(0.4), step: true },
        ],
        limits: [
          { name: 'page', value: 5 },
          { name: 'ticket', value: 1 },
        ],
      },
    ],
    measurements: [
      { name: 'slo.budget.remaining', value: 0.714, unit: '1', segment: 'availability-eu', limit: 0.2, verdict: 'pass' },
    ],
  });
}

function promotion(): GateResult {
  return gateResult({
    id: 'promotion',
    passReason: 'The evidence allows production.',
    findings: [],
    facts: { environment: 'production' },
  });
}
