import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ROOT, runCli } from '../support/cli.ts';
import { testRepo } from '../support/repo.ts';
import { metricFile } from './support.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mixgate-telemetry-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function write(files: { readonly [path: string]: string }): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
}

interface Printed {
  readonly verdict: string;
  readonly findings: readonly {
    readonly ruleId: string;
    readonly location?: { readonly file: string; readonly line?: number };
  }[];
}
const json = (text: string): Printed => JSON.parse(text) as Printed;
const rules = (text: string): unknown[] =>
  json(text).findings.map((finding) => [finding.ruleId, finding.location?.file, finding.location?.line]);

const point = {
  attributes: [{ key: 'app.color', value: { stringValue: 'red' } }],
  timeUnixNano: '1',
  count: '1',
  bucketCounts: ['1'],
  explicitBounds: [],
};
const sample = (unit: string): string =>
  JSON.stringify({
    resourceMetrics: [
      {
        scopeMetrics: [
          { metrics: [{ name: 'app.request.duration', unit, histogram: { aggregationTemporality: 2, dataPoints: [point] } }] },
        ],
      },
    ],
  });

describe('mixgate telemetry check', () => {
  test('the example fleet passes', async () => {
    const ran = await runCli(['telemetry', 'check', 'examples/fleet', '--format', 'json'], { cwd: ROOT });
    expect([ran.code, json(ran.stdout).verdict]).toEqual([0, 'pass']);
  });
  test('a registry folder with a bad unit fails with its line', async () => {
    write({ 'r/a.yaml': metricFile({ unit: 'seconds' }) });
    const ran = await runCli(['telemetry', 'check', 'r', '--format', 'json'], { cwd: dir });
    expect(ran.code).toBe(1);
    expect(rules(ran.stdout)).toEqual([['telemetry-unit-invalid', 'r/a.yaml', 26]]);
  });
  test.each<[string, { readonly [path: string]: string }, string[], string]>([
    ['a folder that is not there', {}, ['none'], 'the folder "none" does not exist'],
    ['a file instead of a folder', { 'a.yaml': 'x' }, ['a.yaml'], '"a.yaml" is a file, not a folder'],
    ['no argument', {}, [], 'needs DIR'],
    ['two arguments', {}, ['a', 'b'], 'unexpected argument `b`'],
    ['an unknown flag', {}, ['.', '--registri', 'x'], 'unknown flag `--registri`'],
    ['a configuration with a wrong key', { 'mixgate.yaml': 'version: 1\ntelemetry:\n  registry: x\n' }, ['.'], 'mixgate.yaml:3'],
    ['a configuration without a telemetry section', { 'mixgate.yaml': 'version: 1\n' }, ['.'], 'has no telemetry section'],
  ])('%s: exit 2 and one message', async (_, files, args, message) => {
    write(files);
    const ran = await runCli(['telemetry', 'check', ...args], { cwd: dir });
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain(message);
    expect(ran.stderr).not.toMatch(/\n\s+at /);
    expect(ran.stdout).toBe('');
  });
});

describe('mixgate telemetry diff', () => {
  test('two folders', async () => {
    write({ 'base/a.yaml': metricFile(), 'head/a.yaml': metricFile({ unit: 'ms' }) });
    const ran = await runCli(['telemetry', 'diff', 'base', 'head', '--format', 'json'], { cwd: dir });
    expect(ran.code).toBe(1);
    expect(rules(ran.stdout)[0]).toEqual(['telemetry-metric-unit-changed', 'head/a.yaml', 26]);
  });
  test('two Git refs, configuration from base, with the SLO that breaks', async () => {
    const slo =
      "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: fast}\nspec: {indicator: {spec: {ratioMetric: {good: {metricSource: {spec: {query: 'app_request_duration_seconds_count'}}}}}}}\n";
    using repo = testRepo({
      'mixgate.yaml': 'version: 1\ntelemetry: {registries: [{path: r}]}\nslo: {files: [slo.yaml]}\n',
      'slo.yaml': slo,
      'r/a.yaml': metricFile(),
    });
    repo.git('checkout', '-q', '-b', 'change');
    repo.commit({ 'r/a.yaml': metricFile({ name: 'app.request.time' }) });
    const ran = await runCli(['telemetry', 'diff', 'main', 'change'], { cwd: repo.dir });
    expect(ran.code).toBe(1);
    expect(ran.stdout.replaceAll(/\s+/g, ' ')).toContain('This breaks SLO fast (slo.yaml:4).');
  });
  test('a registry against itself passes', async () => {
    write({ 'base/a.yaml': metricFile() });
    expect((await runCli(['telemetry', 'diff', 'base', 'base'], { cwd: dir })).code).toBe(0);
  });
  test('--compatibility NONE lets a rename pass', async () => {
    write({ 'base/a.yaml': metricFile(), 'head/a.yaml': metricFile({ name: 'app.request.time' }) });
    expect((await runCli(['telemetry', 'diff', 'base', 'head', '--compatibility', 'NONE'], { cwd: dir })).code).toBe(0);
  });
  test.each<[string, string[], string]>([
    ['an unknown mode', ['base', 'base', '--compatibility', 'FUL'], 'did you mean `FULL`'],
    ['a folder against nothing', ['base', 'none'], '"none" is not a folder'],
    ['one side', ['base'], 'needs BASE HEAD'],
    ['refs outside a repository', ['a', 'b'], 'not inside a Git repository'],
  ])('%s: exit 2', async (_, args, message) => {
    write({ 'base/a.yaml': metricFile() });
    const ran = await runCli(['telemetry', 'diff', ...args], { cwd: dir, env: { GIT_CEILING_DIRECTORIES: tmpdir() } });
    expect([ran.code, ran.stderr.includes(message)]).toEqual([2, true]);
  });
  test.each([
    ['no-such-ref', 'is not in this clone'],
    ['--upload-pack=x', 'unknown flag'],
    ['a..b', 'is not a usable ref'],
  ])('the ref %s: exit 2', async (ref, message) => {
    using repo = testRepo({ 'r/a.yaml': metricFile() });
    const ran = await runCli(['telemetry', 'diff', 'main', ref], { cwd: repo.dir });
    expect([ran.code, ran.stderr.includes(message)]).toEqual([2, true]);
  });
});

describe('mixgate telemetry samples', () => {
  test('files that conform pass; another unit in one cluster fails with its place', async () => {
    write({ 'r/a.yaml': metricFile(), 'eu.json': sample('s'), 'us.json': sample('ms') });
    expect((await runCli(['telemetry', 'samples', 'eu.json', '--registry', 'r'], { cwd: dir })).code).toBe(0);
    const ran = await runCli(['telemetry', 'samples', 'eu.json', 'us.json', '--registry', 'r', '--format', 'json'], { cwd: dir });
    expect(ran.code).toBe(1);
    expect(rules(ran.stdout)).toEqual([
      ['telemetry-fleet-unit-differs', 'us.json', 1],
      ['telemetry-sample-unit-mismatch', 'us.json', 1],
    ]);
  });
  test('too few points are inconclusive', async () => {
    write({ 'r/a.yaml': metricFile(), 'eu.json': sample('s') });
    expect((await runCli(['telemetry', 'samples', 'eu.json', '--registry', 'r', '--min-samples', '9'], { cwd: dir })).code).toBe(
      4,
    );
  });
  test('metrics that no registry knows are inconclusive: nothing was judged', async () => {
    write({ 'r/a.yaml': metricFile(), 'eu.json': sample('s').replace('app.request.duration', 'other.duration') });
    const ran = await runCli(['telemetry', 'samples', 'eu.json', '--registry', 'r', '--format', 'json'], { cwd: dir });
    expect([ran.code, rules(ran.stdout)]).toEqual([4, [['telemetry-sample-metric-unknown', 'eu.json', 1]]]);
  });
  test('a file cut in half fails, named with its line', async () => {
    write({ 'r/a.yaml': metricFile(), 'eu.json': sample('s').slice(0, 100) });
    const ran = await runCli(['telemetry', 'samples', 'eu.json', '--registry', 'r', '--format', 'json'], { cwd: dir });
    expect(ran.code).toBe(1);
    expect(rules(ran.stdout)[0]).toEqual(['telemetry-otlp-unreadable', 'eu.json', 1]);
  });
  test.each<[string, string[], string]>([
    ['a missing file', ['none.json', '--registry', 'r'], 'the sample file does not exist'],
    ['a folder as a sample', ['r', '--registry', 'r'], 'the sample is not a file'],
    ['no registry', ['eu.json'], '--registry'],
    ['a registry that is empty', ['eu.json', '--registry', 'empty'], 'has no usable definition'],
    ['a registry outside', ['eu.json', '--registry', '../x'], 'lies outside'],
    ['a minimum that is no number', ['eu.json', '--registry', 'r', '--min-samples', 'many'], '--min-samples'],
    ['a minimum of zero', ['eu.json', '--registry', 'r', '--min-samples', '0'], '--min-samples is 0'],
  ])('%s: exit 2', async (_, args, message) => {
    write({ 'r/a.yaml': metricFile(), 'eu.json': sample('s') });
    const ran = await runCli(['telemetry', 'samples', ...args], { cwd: dir });
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain(message);
  });
});

test('help shows every subcommand with an example', async () => {
  const ran = await runCli(['telemetry', '--help']);
  for (const word of ['check DIR', 'diff BASE HEAD', 'samples FILE...', 'Examples:']) expect(ran.stdout).toContain(word);
});
