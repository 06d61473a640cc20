import { writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { SHIPPED_BUNDLE } from '../src/config/dev.ts';
import { ConfigurationError, defaultThreads, loadConfig, parseConfig } from '../src/config/load.ts';
import { microModel, temporary } from './support/models.ts';

const dir = temporary();
afterAll(dir.remove);

const GOOD = `cluster: us-east
model:
  path: ${microModel()}
  id: mixtral-micro
  version: 1.0.0
policy:
  bundle: ${SHIPPED_BUNDLE}
identity:
  tokens:
    - sha256: ${'a'.repeat(64)}
      tenant: globex
pools:
  - id: us-east-cpu
    cluster: us-east
    region: us-east-1
    jurisdiction: US
    accelerator: cpu
    model: mixtral-micro
    version: 1.0.0
    engine: local
`;

function problems(text: string): string[] {
  try {
    parseConfig(text, 'runtime.yaml', dir.path);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

describe('configuration', () => {
  it('fills in defaults', () => {
    expect(parseConfig(GOOD, 'runtime.yaml', dir.path)).toMatchObject({
      listen: { host: '127.0.0.1', port: 8080 },
      model: { context: 512, sequences: 4, batch: 512, gpu: false, threads: defaultThreads() },
      policy: { entrypoint: 'routing/decision' },
      tenants: { default: {} },
      trace: { mode: 'opt-in', sample: 0.05 },
      pools: [{ saturation: 0, queue: 0, warm: true }],
    });
  });

  it.each([
    [1, 1],
    [2, 1],
    [8, 7],
  ])('on %i cores takes %i threads', (cores, threads) => expect(defaultThreads(cores)).toBe(threads));

  const bad: Array<[string, string, RegExp[]]> = [
    [
      'an unknown key',
      GOOD.replace('cluster: us-east\n', 'clutser: us-east\n'),
      [/^runtime.yaml:1:10: the configuration: unknown key clutser \(did you mean cluster\?\); known: listen, cluster, model/],
    ],
    [
      'an unknown key inside',
      GOOD.replace('  id: mixtral-micro\n', '  id: mixtral-micro\n  contxt: 5\n'),
      [/^runtime.yaml:5:\d+: model: unknown key contxt \(did you mean context\?\); known: path, id, version, context/],
    ],
    [
      'collectors that cannot be reached as it says',
      `${GOOD}telemetry:
  otlp:
    collectors:
      - { endpoint: "https://otel-a:4318", headersFile: no-headers, cert: no-cert.pem }
      - { endpoint: "https://user:secret@otel-b:4318" }
`,
      [/telemetry\.otlp\.collectors\.1\.endpoint must match pattern/],
    ],
    [
      'files of a collector that are not there, and half a certificate',
      `${GOOD}telemetry:
  otlp:
    collectors:
      - { endpoint: "https://otel-a:4318", headersFile: no-headers, cert: no-cert.pem }
`,
      [
        /^runtime.yaml:\d+:\d+: telemetry\.otlp\.collectors\.0\.headersFile: no such file: .*no-headers$/,
        /telemetry\.otlp\.collectors\.0\.cert: no such file/,
        /telemetry\.otlp\.collectors\.0: cert and key go together/,
      ],
    ],
    ['a missing part', GOOD.replace(/policy:\n.*\n/, ''), [/the configuration: policy is missing/]],
    [
      'no identity at all',
      GOOD.replace(/identity:[\s\S]*pools:/, 'identity: {}\npools:'),
      [/^runtime.yaml:8:11: identity must NOT have fewer than 1 properties/],
    ],
    [
      'a wrong type',
      GOOD.replace('version: 1.0.0\npolicy', 'version: 1.0.0\n  sequences: many\npolicy'),
      [/^runtime.yaml:6:14: model.sequences must be integer/],
    ],
    [
      'a version that is none',
      GOOD.replace('  version: 1.0.0\npolicy', '  version: latest\npolicy'),
      [/^runtime.yaml:5:12: model.version must match pattern .*\(Semantic version of the artifact\)$/],
    ],
    [
      'a token that is no digest',
      GOOD.replace('a'.repeat(64), 'secret'),
      [/^runtime.yaml:10:15: identity.tokens.0.sha256 must match pattern/],
    ],
    [
      'a model that is not there',
      GOOD.replace(microModel(), 'no.gguf'),
      [/^runtime.yaml:3:9: model.path: no such file: .*no.gguf/],
    ],
    [
      'a bundle that is not there',
      GOOD.replace(SHIPPED_BUNDLE, 'no-bundle'),
      [/^runtime.yaml:7:11: policy.bundle: no such file or directory/],
    ],
    [
      'a local pool with another version',
      GOOD.replace('    version: 1.0.0\n    engine', '    version: 2.0.0\n    engine'),
      [/^runtime.yaml:18:12: pools.0: a local pool serves mixtral-micro 1.0.0, this one says mixtral-micro 2.0.0/],
    ],
    ['no local pool', GOOD.replace('    engine: local\n', ''), [/^runtime.yaml:13:3: pools: no pool has engine: local/]],
    [
      'residency of a pool that is not local',
      GOOD.replace('    engine: local\n', '    load: on-demand\n'),
      [/pools.0.load: only a pool with engine: local has a model that this runtime loads/],
    ],
    [
      'idle seconds of none',
      GOOD.replace('    engine: local\n', '    engine: local\n    idle_seconds: 0\n'),
      [/pools.0.idle_seconds must be > 0/],
    ],
    [
      'a pool’s engine by a wrong word',
      GOOD.replace('engine: local', 'engine: locall'),
      [/^runtime.yaml:20:13: pools.0.engine: expected local, or object with url$/],
    ],
    [
      'a pool’s engine with a wrong URL',
      GOOD.replace('engine: local', 'engine: { url: "ftp://x" }'),
      [
        /^runtime.yaml:20:20: pools.0.engine.url must match pattern "\^https\?:\/\/" \(Base URL of an OpenAI-compatible server, without \/v1\)$/,
      ],
    ],
    ['broken YAML', `${GOOD}  - [unclosed\n`, [/^runtime.yaml:\d+:\d+: /]],
    ['a key twice', `${GOOD}cluster: other\n`, [/^runtime.yaml:21:1: Map keys must be unique$/]],
    [
      'an alias bomb',
      `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${'*a,'.repeat(20)}]\nc: &c [${'*b,'.repeat(20)}]\nd: [${'*c,'.repeat(20)}]\n`,
      [/^runtime.yaml:1:1: Excessive alias count/],
    ],
    [
      'several problems at once',
      GOOD.replace('  id: mixtral-micro\n', '  id: mixtral-micro\n  sequences: 0\n  gpu: tpu\n'),
      [/model.sequences must be >= 1/, /model.gpu: expected one of auto, cuda, vulkan, metal, false/],
    ],
    ['an empty file', '', [/must be object/]],
  ];
  it.each(bad)('refuses %s, with file and line', (_name, text, messages) => {
    const found = problems(text).join('\n');
    for (const message of messages) expect(found).toMatch(new RegExp(message.source, 'm'));
  });

  it('refuses a file that is not there, and one that is no text', () => {
    expect(() => loadConfig(dir.file('none.yaml'))).toThrow(/no such file/);
    writeFileSync(dir.file('binary.yaml'), Buffer.from([0, 1, 2, 255, 254]));
    expect(() => loadConfig(dir.file('binary.yaml'))).toThrow(ConfigurationError);
    expect(() => loadConfig(dir.path)).toThrow(/expected a YAML file/);
  });
});
