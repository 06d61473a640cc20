import type { Found } from './detect.ts';

const HEAD = `# What mixgate reads in this repository. Paths are relative to the folder that mixgate runs in, which is this one
# unless --config named another; lists may hold glob patterns.
# A gate runs when its section is here; the sections behind # are examples of what there is besides.
# Every key: docs/configuration.md in the mixgate repository. \`mixgate explain\` lists every rule.
version: 1
`;

/** mixgate.yaml: what was found as sections in force, the rest as comments to start from. */
export function configTemplate(found: Found): string {
  return [HEAD, telemetry(found), policy(found), catalog(found), clusters(found), slo(found), canary(found), PROMOTION].join(
    '\n',
  );
}

function telemetry({ telemetry: found }: Found): string {
  const about = '# Telemetry schemas: OpenTelemetry semantic-convention registries and event schemas.\n';
  if (found === undefined)
    return `${about}${commented(`telemetry:
  registries:
    - path: telemetry/registry
      owned: true                       # ours: names in its namespaces must be defined here
  events: telemetry/events
  samples: [telemetry/samples/*.json]   # OTLP/JSON, as the Collector's file exporter writes it
  compatibility: FULL                   # FULL | FORWARD | BACKWARD | NONE
`)}`;
  return `${about}telemetry:
  registries:
${found.registries.map((path) => `    - path: ${scalar(path)}\n      owned: true                       # false for conventions that you only use\n`).join('')}${line('events', found.events)}${list('samples', found.samples)}  compatibility: FULL                   # FULL | FORWARD | BACKWARD | NONE
`;
}

function policy({ policy: found }: Found): string {
  const about = '# Routing policies in Rego. The first entrypoint is the routing decision.\n';
  if (found === undefined)
    return `${about}${commented(`policy:
  roots: [policies/routing]
  entrypoints: [routing/decision]
  domain: policies/domain.yaml          # what inputs can look like: proofs run over it
  invariants: policies/invariants       # what may never happen
  corpus: policies/corpus.ndjson        # recorded decisions to replay on base and head
  coverage: 90
  latencyBudgetMs: 10
`)}`;
  const domain =
    found.domain === undefined
      ? '  # domain: policies/domain.yaml        # what inputs can look like: proofs run over it\n'
      : line('domain', found.domain);
  // Without a domain there is nothing to evaluate invariants on, and the gate says so: in force only together.
  const invariants =
    found.invariants === undefined
      ? '  # invariants: policies/invariants     # what may never happen\n'
      : found.domain === undefined
        ? `  # ${line('invariants', found.invariants).trim()}     # what may never happen; needs domain\n`
        : line('invariants', found.invariants);
  const corpus =
    found.corpus === undefined
      ? '  # corpus: policies/corpus.ndjson      # recorded decisions to replay on base and head\n'
      : line('corpus', found.corpus);
  return `${about}policy:\n${list('roots', [found.root])}${list('entrypoints', [found.entrypoint])}${domain}${invariants}${corpus}  latencyBudgetMs: 10\n`;
}

function catalog({ catalog: found }: Found): string {
  const about = '# Model metadata, with digests and memory plans.\n';
  if (found === undefined)
    return `${about}${commented('catalog:\n  models: [catalog/models/*.yaml]\n  pools: catalog/pools.yaml\n  flags: catalog/flags.yaml\n')}`;
  return `${about}catalog:\n${list('models', found.models)}${line('pools', found.pools)}${line('flags', found.flags)}`;
}

function clusters({ clusters: found }: Found): string {
  const about = `# The clusters, for drift reports. A snapshot is what kubectl prints, behind the time when it did:
# { printf 'apiVersion: mixgate.dev/v1\\nkind: ClusterSnapshot\\ncluster: us-east\\ncapturedAt: %s\\n---\\n' "$(date -u +%FT%TZ)"
#   kubectl get httproutes,inferencepools,deployments,configmaps -A -o yaml; } > live/us-east.yaml
`;
  const all = found.length > 0 ? found : [{ name: 'us-east', overlay: 'clusters/us-east', snapshot: 'live/us-east.yaml' }];
  const note = found.length > 0 ? '# These overlays are here: fill in where each cluster is, and delete the # in front.\n' : '';
  const [region, jurisdiction, zone] = found.length > 0 ? ['""', '""', '""'] : ['us-east-1', 'US', 'us'];
  const entries = all.map(
    ({ name, overlay, snapshot }) => `  - name: ${scalar(name)}
    overlay: ${scalar(overlay)}
    snapshot: ${scalar(snapshot ?? `live/${name}.yaml`)}
    region: ${region}
    jurisdiction: ${jurisdiction}
    trustZone: ${zone}
`,
  );
  return `${about}${note}${commented(`clusters:\n${entries.join('')}`)}`;
}

function slo({ slo: found }: Found): string {
  const about = '# Service level objectives (OpenSLO v1).\n';
  const prometheus = 'prometheus: http://127.0.0.1:9090       # for burn rates: `mixgate slo gate`';
  if (found.length === 0) return `${about}${commented(`slo:\n  files: [slo/*.yaml]\n  ${prometheus}\n`)}`;
  return `${about}slo:\n${list('files', found)}  # ${prometheus}\n`;
}

function canary({ canaryProfile: found }: Found): string {
  const about = '# Canary analysis of baseline and candidate.\n';
  return found === undefined
    ? `${about}${commented('canary:\n  profile: canary/profile.yaml\n')}`
    : `${about}canary:\n${line('profile', found)}`;
}

const PROMOTION = `# Environments that \`mixgate promote\` moves.
# promotion:
#   environments:
#     - name: production
#       cluster: us-east
#   policy: policies/promotion

# waivers: waivers.yaml
`;

function commented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '# ');
}

function line(key: string, value: string | undefined): string {
  return value === undefined ? '' : `  ${key}: ${scalar(value)}\n`;
}

function list(key: string, values: readonly string[]): string {
  return values.length === 0 ? '' : `  ${key}: [${values.map(scalar).join(', ')}]\n`;
}

/** A name as YAML, quoted where a plain one could be read as something else. */
function scalar(text: string): string {
  return /^(?:[a-z][\w./*-]*|\.|\*[\w.-]+)$/i.test(text) &&
    !/^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text) &&
    !text.startsWith('*')
    ? text
    : JSON.stringify(text);
}
