import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Config, Section } from '../../src/config/load.ts';
import { silentProgress } from '../../src/core/context.ts';
import type { GateResult } from '../../src/core/gate.ts';
import type { FileTree, GateContext } from '../../src/core/gate-context.ts';
import { runTelemetryGate } from '../../src/telemetry/gate.ts';
import { resolveTool } from '../../src/tools/resolve.ts';
import { openGit } from '../../src/workspace/git.ts';
import { commitTree } from '../../src/workspace/tree.ts';
import { ROOT } from '../support/cli.ts';
import { testRepo } from '../support/repo.ts';
import { memoryTree, metricFile } from './support.ts';

const SECTION: Section<'telemetry'> = { registries: [{ path: 'registry', owned: true }] };

function run(
  head: FileTree,
  options: { base?: FileTree; section?: Partial<Section<'telemetry'>>; config?: Partial<Config> } = {},
): Promise<GateResult> {
  const signal = new AbortController().signal;
  const context: GateContext = {
    seed: 1,
    now: '2026-11-22T00:00:00Z',
    progress: silentProgress,
    signal,
    base: options.base,
    head,
    changed: undefined,
    tool: (name) => resolveTool(name, { progress: silentProgress, signal }),
  };
  return runTelemetryGate(context, { ...SECTION, ...options.section }, { version: 1, ...options.config });
}
const shown = (result: GateResult): unknown[] =>
  result.findings
    .filter((finding) => finding.level !== 'note')
    .map((finding) => [finding.level, finding.ruleId, `${finding.location?.file}:${finding.location?.line}`]);

const POINT = {
  attributes: [{ key: 'app.color', value: { stringValue: 'red' } }],
  timeUnixNano: '1',
  count: '1',
  bucketCounts: ['1'],
  explicitBounds: [],
};
const sample = JSON.stringify({
  resourceMetrics: [
    {
      resource: { attributes: [{ key: 'service.name', value: { stringValue: 'app' } }] },
      scopeMetrics: [
        { metrics: [{ name: 'app.request.duration', unit: 's', histogram: { aggregationTemporality: 2, dataPoints: [POINT] } }] },
      ],
    },
  ],
});

describe('the gate', () => {
  test('a sound registry passes', async () => {
    const result = await run(memoryTree({ 'registry/a.yaml': metricFile() }));
    expect([result.verdict, result.reason]).toEqual(['pass', '1 metric and 3 attributes are sound; samples: not configured.']);
  });
  test('a broken registry fails with the line, and does not throw', async () => {
    expect(shown(await run(memoryTree({ 'registry/a.yaml': 'groups:\n  - id: [' })))).toEqual([
      ['error', 'telemetry-registry-unreadable', 'registry/a.yaml:2'],
    ]);
  });
  test('no registry at all fails', async () => expect((await run(memoryTree({}))).verdict).toBe('fail'));
  test('what was wrong in base is not held against head', async () => {
    const result = await run(memoryTree({ 'registry/a.yaml': metricFile() }), {
      base: memoryTree({ 'registry/a.yaml': 'groups: [' }),
    });
    expect(result.verdict).toBe('pass');
  });
  test('declared samples that are not there are inconclusive', async () => {
    const result = await run(memoryTree({ 'registry/a.yaml': metricFile() }), { section: { samples: ['samples/*.json'] } });
    expect([result.verdict, result.reason]).toEqual([
      'inconclusive',
      'No sample file matches samples/*.json; record OTLP/JSON of each cluster there.',
    ]);
  });
  test('coverage without sample files is inconclusive too', async () => {
    const result = await run(memoryTree({ 'registry/a.yaml': metricFile() }), {
      section: { coverage: [{ cluster: 'eu', service: 'app', metrics: ['app.request.duration'] }] },
    });
    expect(result.verdict).toBe('inconclusive');
  });
  test('too few samples are inconclusive, enough pass', async () => {
    const tree = memoryTree({ 'registry/a.yaml': metricFile(), 'samples/eu.json': sample });
    expect((await run(tree, { section: { samples: ['samples/*.json'], minSamples: 5 } })).reason).toBe(
      'Too few samples: 4 more data points, spans or log records needed.',
    );
    expect((await run(tree, { section: { samples: ['samples/*.json'], minSamples: 1 } })).verdict).toBe('pass');
  });
  test('a producer that is missing in one cluster fails', async () => {
    const must = (cluster: string): NonNullable<Section<'telemetry'>['coverage']>[number] => ({
      cluster,
      service: 'app',
      metrics: ['app.request.duration'],
    });
    const coverage = [must('eu'), must('us')];
    const result = await run(memoryTree({ 'registry/a.yaml': metricFile(), 'samples/eu.json': sample }), {
      section: { samples: ['samples/*.json'], coverage },
    });
    expect(shown(result)).toEqual([['error', 'telemetry-coverage-missing', 'mixgate.yaml:undefined']]);
    expect(result.tables!.at(-1)!.rows).toEqual([
      ['eu', 'app', 'app.request.duration', '1', 'covered'],
      ['us', 'app', 'app.request.duration', '0', 'missing'],
    ]);
  });
  test.each([
    ['FULL', 'fail'],
    ['FORWARD', 'fail'],
    ['BACKWARD', 'warn'],
    ['NONE', 'pass'],
  ] as const)('a rename that nobody here uses under %s: %s', async (compatibility, verdict) => {
    const result = await run(memoryTree({ 'registry/a.yaml': metricFile({ name: 'app.request.time' }) }), {
      base: memoryTree({ 'registry/a.yaml': metricFile() }),
      section: { compatibility },
    });
    expect(result.verdict).toBe(verdict);
  });
  test('samples with a name that the change takes away say so', async () => {
    const result = await run(
      memoryTree({ 'registry/a.yaml': metricFile({ name: 'app.request.time' }), 'samples/eu.json': sample }),
      { base: memoryTree({ 'registry/a.yaml': metricFile() }), section: { samples: ['samples/*.json'] } },
    );
    expect(result.findings.find((finding) => finding.ruleId === 'telemetry-sample-metric-unknown')!.message).toBe(
      'The samples have the metric `app.request.duration`, which this change renames to `app.request.time`: clusters still emit the old name.',
    );
  });
  test('an event field that a Rego policy reads', async () => {
    const schema = (fields: object): string =>
      JSON.stringify({ type: 'object', properties: { target: { type: 'object', properties: fields } } });
    const policy = 'package p\n\nallow if input.event.target.pool == "x"\n';
    const files = (fields: object) =>
      memoryTree({ 'registry/a.yaml': metricFile(), 'events/done.schema.json': schema(fields), 'policies/p.rego': policy });
    const result = await run(files({}), {
      base: files({ pool: { type: 'string' } }),
      section: { events: 'events', consumers: ['policies/*.rego'], compatibility: 'BACKWARD' },
    });
    expect(
      result.findings.filter((finding) => finding.ruleId.includes('event')).map((finding) => [finding.level, finding.message]),
    ).toEqual([
      [
        'error',
        'The field `target.pool` of `done` is gone. This breaks policy policies/p.rego (policies/p.rego:3). The line is the one in base, where it last was.',
      ],
    ]);
  });
  test('the same inputs give the same bytes', async () => {
    const once = async (): Promise<string> =>
      JSON.stringify(
        await run(memoryTree({ 'registry/a.yaml': metricFile({ unit: 'ms' }), 'samples/eu.json': sample }), {
          base: memoryTree({ 'registry/a.yaml': metricFile() }),
          section: { samples: ['samples/*.json'] },
        }),
      );
    expect(await once()).toBe(await once());
  });
});

function cluster(name: string): NonNullable<Config['clusters']>[number] {
  return { name, overlay: name, region: name, jurisdiction: 'X', trustZone: 'x' };
}

describe('the example fleet, in a real Git repository', () => {
  const config: Config = {
    version: 1,
    clusters: [cluster('us-east'), cluster('eu-west'), cluster('ap-south')],
    slo: { files: ['slo/*.yaml'] },
  };
  const section: Partial<Section<'telemetry'>> = {
    registries: [{ path: 'telemetry/registry', owned: true }],
    events: 'telemetry/events',
    samples: ['telemetry/samples/*.json'],
    minSamples: 10,
  };
  const SLO = `apiVersion: openslo/v1
kind: SLO
metadata: {name: ttft-p95}
spec:
  indicator:
    metadata: {name: ttft}
    spec:
      ratioMetric:
        good: {metricSource: {type: Prometheus, spec: {query: 'sum(gen_ai_server_time_to_first_token_seconds_bucket{le="2.5"})'}}}
        total: {metricSource: {type: Prometheus, spec: {query: 'sum(gen_ai_server_request_duration_seconds_count)'}}}
`;
  const sides = async (changed: boolean): Promise<{ base: FileTree; head: FileTree; dispose: () => void }> => {
    const repo = testRepo();
    cpSync(join(ROOT, 'examples/fleet/telemetry'), join(repo.dir, 'telemetry'), { recursive: true });
    const base = repo.commit({ 'slo/ttft.yaml': SLO }, 'fleet');
    if (changed) cpSync(join(ROOT, 'examples/fleet-changes/bad/telemetry'), join(repo.dir, 'telemetry'), { recursive: true });
    const head = repo.commit({}, 'change');
    const git = await openGit(repo.dir);
    return { base: await commitTree(git, base), head: await commitTree(git, head), dispose: () => repo[Symbol.dispose]() };
  };

  test('passes as it is, with samples of three clusters that conform', async () => {
    const { base, head, dispose } = await sides(false);
    const result = await run(head, { base, section, config });
    dispose();
    expect(shown(result)).toEqual([]);
    expect(result.verdict).toBe('pass');
    expect(result.measurements.find((measurement) => measurement.name === 'samples.files')!.value).toBe(9);
  });

  test('the bad change is refused for the rename and for the unit, each with the SLO that it breaks', async () => {
    const { base, head, dispose } = await sides(true);
    const result = await run(head, { base, section, config });
    dispose();
    const registry = readFileSync(join(ROOT, 'examples/fleet-changes/bad/telemetry/registry/gen_ai.yaml'), 'utf8').split('\n');
    const lineOf = (text: string, from = 0): number =>
      registry.findIndex((line, index) => index >= from && line.includes(text)) + 1;
    const renamed = lineOf('metric_name: gen_ai.server.ttft');
    const unit = lineOf('unit: ms', renamed);
    expect(result.verdict).toBe('fail');
    const found = result.findings.filter((finding) => finding.ruleId.startsWith('telemetry-metric-'));
    expect(found.map((finding) => [finding.ruleId, finding.blocking, finding.location?.file, finding.location?.line])).toEqual([
      ['telemetry-metric-renamed', true, 'telemetry/registry/gen_ai.yaml', renamed],
      ['telemetry-metric-unit-changed', true, 'telemetry/registry/gen_ai.yaml', unit],
    ]);
    for (const finding of found) expect(finding.message).toContain('This breaks SLO ttft-p95 (slo/ttft.yaml:9).');
    expect(found[1]!.message).toContain('from `s` to `ms`, so values are 1000 times larger');
    expect(result.tables![0]!.rows.map((row) => row.slice(0, 5))).toEqual([
      ['error', 'metric gen_ai.server.time_to_first_token', 'name', 'gen_ai.server.time_to_first_token', 'gen_ai.server.ttft'],
      ['error', 'metric gen_ai.server.ttft', 'unit', 's', 'ms'],
    ]);
  });
});
