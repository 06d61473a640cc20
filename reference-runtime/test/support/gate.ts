// Our own telemetry gate on what a runtime emits: registry, event schemas, coverage and cardinality of the example fleet.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { prometheusLabel, prometheusNames } from '../../../src/telemetry/prometheus-names.ts';
import { loadRegistries } from '../../../src/telemetry/registry/load.ts';
import { folderTree } from '../../../src/workspace/tree.ts';
import { ROOT, runCli } from '../../../test/support/cli.ts';

const FLEET = join(ROOT, 'examples/fleet');

export interface GateOutcome {
  code: number | null;
  findings: unknown[];
}

/** A copy of the example fleet in `dir` whose samples are the given OTLP files of one cluster; `mixgate telemetry check` judges it. */
export function fleetGate(dir: string, cluster: string): (...files: string[]) => Promise<GateOutcome> {
  cpSync(FLEET, dir, { recursive: true });
  const config = parse(readFileSync(join(dir, 'mixgate.yaml'), 'utf8')) as {
    telemetry: { samples: string[]; coverage: Array<{ cluster: string }> };
  };
  config.telemetry.samples = ['emitted/*.jsonl'];
  config.telemetry.coverage = config.telemetry.coverage.filter((entry) => entry.cluster === cluster);
  writeFileSync(join(dir, 'mixgate.yaml'), stringify(config));
  return async (...files) => {
    rmSync(join(dir, 'emitted'), { recursive: true, force: true });
    mkdirSync(join(dir, 'emitted'));
    for (const file of files) cpSync(file, join(dir, 'emitted', basename(file)));
    const { code, stdout } = await runCli(['telemetry', 'check', dir, '--format', 'json']);
    return { code, findings: (JSON.parse(stdout) as { findings: unknown[] }).findings };
  };
}

/** What a text of /metrics has that the fleet's registry does not: families, types and labels. */
export async function undeclared(text: string): Promise<string[]> {
  const { registry } = await loadRegistries(folderTree(FLEET), [{ path: 'telemetry/registry' }]);
  const known = new Map(
    [...registry.metrics.values()].flatMap((metric) =>
      prometheusNames(metric, ['UnderscoreEscapingWithSuffixes']).map(
        ({ base }) =>
          [base, { kind: metric.instrument as string, labels: [...metric.attributes.keys()].map(prometheusLabel) }] as const,
      ),
    ),
  );
  const families = [...text.matchAll(/^# TYPE (?<name>\S+) (?<kind>\S+)$/gm)].map(
    ({ groups }) => groups as { name: string; kind: string },
  );
  if (families.length === 0) return ['no metric at all'];
  return families.flatMap(({ name, kind }) => {
    // Prometheus' own form of the resource.
    if (name === 'target_info') return [];
    const metric = known.get(name);
    if (metric?.kind !== kind) return [`${name} ${kind}`];
    const labels = [...text.matchAll(new RegExp(`^${name}(?:_bucket)?\\{(?<labels>.*)\\} `, 'gm'))].flatMap(({ groups }) =>
      [...(groups?.['labels'] ?? '').matchAll(/(?:^|",)(?<label>[a-z0-9_]+)="/g)].map((match) => match.groups?.['label'] ?? ''),
    );
    return [...new Set(labels)]
      .filter((label) => label !== 'le' && !metric.labels.includes(label))
      .map((label) => `${name} ${label}`);
  });
}
