import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigurationError } from '../core/errors.ts';
import { writeWhole } from '../workspace/write-whole.ts';
import type { CommandSpec } from './framework.ts';

const TEMPLATE = `# What mixgate reads in this repository. Paths are relative to this file; lists may hold glob patterns.
# Delete the sections you don't use: a gate runs when its section is here.
# Reference: schemas/mixgate*.schema.json in the mixgate repository; \`mixgate explain\` lists every rule.
version: 1

# Telemetry schemas: OpenTelemetry semantic-convention registries and event schemas.
# telemetry:
#   registries:
#     - path: telemetry/registry
#       owned: true
#   events: telemetry/events
#   samples: [telemetry/samples/*.json]   # OTLP/JSON, as the Collector's file exporter writes it
#   compatibility: FULL                   # FULL | FORWARD | BACKWARD | NONE

# Routing policies in Rego. The first entrypoint is the routing decision.
# policy:
#   roots: [policies]
#   entrypoints: [routing/decision]
#   domain: policies/domain.yaml          # what inputs can look like: proofs run over it
#   invariants: policies/invariants       # what may never happen
#   corpus: policies/corpus.ndjson        # recorded decisions to replay on base and head
#   coverage: 90
#   latencyBudgetMs: 10

# Model metadata, with digests and memory plans.
# catalog:
#   models: [catalog/models/*.yaml]
#   pools: catalog/pools.yaml

# The clusters, for drift reports. A snapshot is the output of
#   kubectl get httproutes,inferencepools,deployments,configmaps -A -o yaml
# clusters:
#   - name: us-east
#     overlay: clusters/us-east
#     snapshot: live/us-east.yaml
#     region: us-east-1
#     jurisdiction: US
#     trustZone: us

# Service level objectives (OpenSLO v1).
# slo:
#   files: [slo/*.yaml]
#   prometheus: http://127.0.0.1:9090

# Canary analysis of baseline and candidate.
# canary:
#   profile: canary/profile.yaml

# Environments that \`mixgate promote\` moves.
# promotion:
#   environments:
#     - name: production
#       cluster: us-east
#   policy: policies/promotion

# waivers: waivers.yaml
`;

export const command: CommandSpec = {
  name: 'init',
  summary: 'write a commented mixgate.yaml',
  options: { stdout: { type: 'boolean', description: 'print it instead of writing the file' } },
  examples: [
    { command: 'mixgate init', does: 'write mixgate.yaml here' },
    { command: 'mixgate init --stdout', does: 'look at it first' },
  ],
  async run({ dir, config, options }) {
    if (options.boolean('stdout')) return { text: TEMPLATE };
    const file = join(dir, config);
    if (existsSync(file))
      throw new ConfigurationError({
        message: `${config} exists already; nothing was changed.`,
        fix: 'edit it, or look at a fresh one with `mixgate init --stdout`.',
      });
    await writeWhole(file, TEMPLATE);
    return { text: `Wrote ${config}. Uncomment the sections you need, then run \`mixgate check\`.\n` };
  },
};
