import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { CAPTURED, CONFIG, driftOf, fleetFiles, found, type Mutable, manifests, snapshot } from './support/gate.ts';

const EDITED = {
  fieldsType: 'FieldsV1',
  fieldsV1: { 'f:spec': { 'f:rules': {} } },
  manager: 'kubectl-edit',
  operation: 'Update',
  time: '2026-01-15T05:02:11Z',
};
const weights =
  (a: number, b: number) =>
  ({ HTTPRoute }: { [kind: string]: Mutable }): void => {
    const [first, second] = HTTPRoute.spec.rules[0].backendRefs;
    first.weight = a;
    second.weight = b;
    HTTPRoute.metadata.managedFields.push(EDITED);
  };
const drift = (text: string): string => `${CONFIG}drift:\n${text}`;

describe('a fleet that runs what Git declares', () => {
  it('passes, with the shares of every cluster', async () => {
    const result = await driftOf(fleetFiles());
    expect([result.verdict, found(result)]).toEqual(['pass', []]);
    expect(result.tables![0]!.rows).toEqual([
      ['chat', '{cluster}-a', '90 %', '90 %', '90 %'],
      ['chat', '{cluster}-b', '10 %', '10 %', '10 %'],
    ]);
    expect(result.charts![0]).toMatchObject({
      kind: 'bar',
      series: [{ values: [90, 90, 90, 90, 90, 90] }, { values: [10, 10, 10, 10, 10, 10] }],
    });
  });

  it('gives the same bytes twice', async () => {
    const [a, b] = [
      await driftOf(fleetFiles({ 'live/eu-west.yaml': snapshot('eu-west', { edit: weights(1, 1) }) })),
      await driftOf(fleetFiles({ 'live/eu-west.yaml': snapshot('eu-west', { edit: weights(1, 1) }) })),
    ];
    expect(JSON.stringify(a)).toBe(JSON.stringify(b));
  });
});

describe('five drifts of different severity among a dozen differences that are none', () => {
  it('finds five, not seventeen', async () => {
    const result = await driftOf(
      fleetFiles({
        'live/us-east.yaml': snapshot('us-east', {
          edit(objects) {
            const { HTTPRoute, Deployment, ConfigMap } = objects;
            HTTPRoute.spec.rules[0].backendRefs.reverse();
            weights(100, 900)(objects); // reversed: still 90/10
            HTTPRoute.spec.rules[0].timeouts = undefined;
            HTTPRoute.metadata.labels = { 'kustomize.toolkit.fluxcd.io/name': 'apps' };
            Deployment.spec.template.spec.containers[0].args = ['--quantization', 'fp8', '--model', 'm/x', '--revision', 'abc'];
            Deployment.spec.template.metadata.annotations = { 'kubectl.kubernetes.io/restartedAt': '2026-01-10T00:00:00Z' };
            ConfigMap.data['routing.rego'] = 'package routing\n\n\ndefault   allow := false # nobody\n';
            ConfigMap.metadata.annotations['openpolicyagent.org/policy-status'] = '{"status":"ok"}';
          },
          add: [
            {
              apiVersion: 'v1',
              kind: 'ConfigMap',
              metadata: { name: 'kube-root-ca.crt', namespace: 'llm' },
              data: { 'ca.crt': 'x' },
            },
            {
              apiVersion: 'apps/v1',
              kind: 'ReplicaSet',
              metadata: { name: 'vllm-abc', namespace: 'llm', ownerReferences: [{ kind: 'Deployment', name: 'vllm' }] },
            },
            { apiVersion: 'v1', kind: 'Event', metadata: { name: 'e', namespace: 'llm' } },
            { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'other-team', namespace: 'other' }, spec: {} },
          ] as JsonObject[],
        }),
        'live/eu-west.yaml': snapshot('eu-west', { edit: weights(60, 40) }),
        'live/ap-south.yaml': snapshot('ap-south', {
          edit(objects) {
            objects['Deployment'].spec.template.spec.containers[0].args[2] = '--quantization=awq';
            objects['Deployment'].spec.replicas = 3;
            objects['ConfigMap'].data['routing.rego'] = 'package routing\ndefault allow := true\n';
            delete objects['InferencePool'];
          },
        }),
      }),
    );
    expect(result.verdict).toBe('fail');
    expect(found(result)).toEqual([
      'drift-field-changed ap-south warning',
      'drift-model-changed ap-south error',
      'drift-object-missing ap-south error',
      'drift-policy-changed ap-south error',
      'drift-traffic-changed eu-west error',
    ]);
  });
});

describe('traffic', () => {
  it('names shares, points, the odd cluster, who set it, and both places', async () => {
    const result = await driftOf(fleetFiles({ 'live/eu-west.yaml': snapshot('eu-west', { edit: weights(60, 40) }) }));
    const [finding] = result.findings;
    expect(finding).toMatchObject({
      ruleId: 'drift-traffic-changed',
      blocking: true,
      message:
        'eu-west sends 40 % of chat traffic to eu-west-b, Git says 10 % (+30 pp). eu-west is the odd one of 3 clusters. The field was last set by kubectl-edit at 2026-01-15T05:02:11Z.',
      related: [{ file: 'git/eu-west/all.yaml', line: 11 }],
      evidence: {
        class: 'traffic',
        manager: 'kubectl-edit',
        changes: [
          {
            shares: [
              { backend: 'eu-west-a', declaredPercent: 90, livePercent: 60, deltaPoints: -30 },
              { backend: 'eu-west-b', declaredPercent: 10, livePercent: 40, deltaPoints: 30 },
            ],
          },
        ],
      },
    });
    expect(finding!.location!.file).toBe('live/eu-west.yaml');
    expect(snapshot('eu-west', { edit: weights(60, 40) }).split('\n')[finding!.location!.line! - 1]).toContain('weight: 40');
  });

  it.each([
    ['scaled weights', 9, 1, 'pass'],
    ['a backend without traffic', 90, 0, 'fail'],
    ['no traffic at all', 0, 0, 'fail'],
  ])('%s: %i/%i is %s', async (_name, a, b, verdict) => {
    expect((await driftOf(fleetFiles({ 'live/us-east.yaml': snapshot('us-east', { edit: weights(a, b) }) }))).verdict).toBe(
      verdict,
    );
  });

  it('a route that only the cluster has takes traffic: it blocks', async () => {
    const rogue = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'rogue', namespace: 'llm' },
      spec: { parentRefs: [{ name: 'gw' }], rules: [] },
    };
    const result = await driftOf(fleetFiles({ 'live/us-east.yaml': snapshot('us-east', { add: [rogue] }) }));
    expect(found(result)).toEqual(['drift-object-extra us-east error']);
    expect(result.findings[0]!.message).toContain('takes traffic from gw');
  });
});

describe('a change that Git has and the cluster not yet is pending', () => {
  const moved = (name: string): string => manifests(name).replace('weight: 90', 'weight: 50').replace('weight: 10', 'weight: 50');
  const head = fleetFiles(
    Object.fromEntries(['us-east', 'eu-west', 'ap-south'].map((name) => [`git/${name}/all.yaml`, moved(name)])),
  );

  it('when the cluster is as base declares it', async () => {
    const result = await driftOf(head, { base: fleetFiles() });
    expect([result.verdict, found(result)]).toEqual([
      'pass',
      ['drift-pending ap-south note', 'drift-pending eu-west note', 'drift-pending us-east note'],
    ]);
    expect(result.findings[0]!.message).toContain('ap-south-a 90 % -> 50 %, ap-south-b 10 % -> 50 %');
  });

  it('but drift when it is as neither declares it', async () => {
    const result = await driftOf(
      { ...head, 'live/eu-west.yaml': snapshot('eu-west', { edit: weights(70, 30) }) },
      { base: fleetFiles() },
    );
    expect(result.verdict).toBe('fail');
    expect(found(result)).toContain('drift-traffic-changed eu-west error');
  });

  it('an object that the change adds is pending, not missing; one that it removes is pending, not extra', async () => {
    const more = `${manifests('us-east')}---\napiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: llm}\nspec: {ports: [{port: 1}]}\n`;
    expect(found(await driftOf(fleetFiles({ 'git/us-east/all.yaml': more }), { base: fleetFiles() }))).toEqual([
      'drift-pending us-east note',
    ]);
    const fewer = manifests('us-east')
      .split('---\n')
      .filter((part) => !/^kind: InferencePool/m.test(part))
      .join('---\n');
    expect(
      found(
        await driftOf(
          fleetFiles({
            'git/us-east/all.yaml': `${fewer}---\napiVersion: inference.networking.k8s.io/v1\nkind: InferencePool\nmetadata: {name: us-east-c, namespace: llm}\nspec: {}\n`,
          }),
          { base: fleetFiles() },
        ),
      ),
    ).toEqual(['drift-pending us-east note', 'drift-pending us-east note']);
  });
});

describe('clusters against each other', () => {
  it('names the odd one when Git itself declares another weight there', async () => {
    const git = manifests('eu-west').replace('weight: 90', 'weight: 80').replace('weight: 10', 'weight: 20');
    const result = await driftOf(fleetFiles({ 'git/eu-west/all.yaml': git, 'live/eu-west.yaml': snapshot('eu-west', { git }) }));
    expect([result.verdict, found(result)]).toEqual(['warn', ['drift-cluster-outlier eu-west warning']]);
    expect(result.findings[0]!.message).toMatch(
      /^eu-west is the odd one of 3 clusters\. Traffic of HTTPRoute\/llm\/chat is \{cluster\}-a 80 %, \{cluster\}-b 20 %, in us-east/,
    );
  });

  it('says that there is no majority when two clusters disagree', async () => {
    const git = manifests('eu-west').replace('fp8', 'awq');
    const files = fleetFiles({
      'git/eu-west/all.yaml': git,
      'live/eu-west.yaml': snapshot('eu-west', { git }),
      'mixgate.yaml': CONFIG.split('\n')
        .filter((line) => !line.includes('ap-south'))
        .join('\n'),
    });
    expect((await driftOf(files)).findings[0]!.message).toContain('The 2 clusters disagree and none has a majority');
  });

  it('compares with the declared baseline, not with the majority', async () => {
    const git = (name: string): string => manifests(name).replace('fp8', 'awq');
    const files = fleetFiles({
      ...Object.fromEntries(
        ['eu-west', 'ap-south'].flatMap((name) => [
          [`git/${name}/all.yaml`, git(name)],
          [`live/${name}.yaml`, snapshot(name, { git: git(name) })],
        ]),
      ),
      'mixgate.yaml': CONFIG.replace('trustZone: us}', 'trustZone: us, baseline: true}').replace(
        'clusters:',
        'drift: {equal: [weights]}\nclusters:',
      ),
    });
    expect((await driftOf(files)).verdict).toBe('pass');
    // All others against the baseline alone: the baseline is the odd one.
    expect(
      (await driftOf({ ...files, 'mixgate.yaml': files['mixgate.yaml']!.replace('[weights]', '[model]') })).findings.map(
        (each) => each.subject,
      ),
    ).toEqual(['us-east']);
  });

  it('an allowance covers an outlier', async () => {
    const git = manifests('eu-west').replace('weight: 90', 'weight: 80').replace('weight: 10', 'weight: 20');
    const allow = drift(
      '  allow:\n    - {cluster: eu-west, object: HTTPRoute/llm/chat, path: /spec/rules, owner: me, reason: trial, expires: 2026-02-01}\n',
    );
    const result = await driftOf(
      fleetFiles({ 'git/eu-west/all.yaml': git, 'live/eu-west.yaml': snapshot('eu-west', { git }), 'mixgate.yaml': allow }),
    );
    expect([result.verdict, found(result)]).toEqual(['pass', []]);
  });
});

describe('the contract: allowances and rollouts', () => {
  const live = { 'live/eu-west.yaml': snapshot('eu-west', { edit: weights(60, 40) }) };
  const allow = (more: string): string => drift(`  allow:\n    - {path: /spec/rules, owner: sre, reason: trial, ${more}}\n`);

  it.each<[string, string, string, readonly string[]]>([
    ['a live one hides the difference', allow('expires: 2026-01-15'), 'pass', []],
    [
      'of another cluster it does not, and is unused',
      allow('cluster: us-east, expires: 2026-02-01'),
      'fail',
      ['drift-allowance-unused us-east * /spec/rules warning', 'drift-traffic-changed eu-west error'],
    ],
    [
      'an expired one hides nothing',
      allow('expires: 2026-01-14'),
      'fail',
      ['drift-allowance-expired * * /spec/rules error', 'drift-traffic-changed eu-west error'],
    ],
    ['of the object, with a wildcard', allow('object: "HTTPRoute/*/chat", expires: 2026-02-01'), 'pass', []],
    [
      'a rollout window in which the weight is',
      drift(
        '  rollouts:\n    - {object: HTTPRoute/llm/chat, path: /spec/rules/0/backendRefs/1/weight, from: 10, to: 50, until: "2026-01-16T00:00:00Z"}\n',
      ),
      'pass',
      ['drift-rollout-in-transit eu-west note'],
    ],
    [
      'a window that is over',
      drift(
        '  rollouts:\n    - {object: HTTPRoute/llm/chat, path: /spec/rules/0/backendRefs/1/weight, from: 10, to: 50, until: "2026-01-15T00:00:00Z"}\n',
      ),
      'fail',
      ['drift-rollout-stuck eu-west error'],
    ],
    [
      'a window with other steps',
      drift(
        '  rollouts:\n    - {object: HTTPRoute/llm/chat, path: /spec/rules/0/backendRefs/1/weight, from: 10, to: 50, steps: [25], until: "2026-01-16T00:00:00Z"}\n',
      ),
      'fail',
      ['drift-traffic-changed eu-west error'],
    ],
    ['a class that does not block', drift('  block: [safety]\n'), 'warn', ['drift-traffic-changed eu-west warning']],
  ])('%s', async (_name, config, verdict, expected) => {
    const result = await driftOf(fleetFiles({ ...live, 'mixgate.yaml': config }));
    expect([result.verdict, found(result)]).toEqual([verdict, expected]);
  });

  it('says how much each allowance hid, and where an expired one is written', async () => {
    expect((await driftOf(fleetFiles({ ...live, 'mixgate.yaml': allow('expires: 2026-02-01') }))).tables!.at(-1)!.rows).toEqual([
      ['all', 'all', '/spec/rules', 'sre', 'trial', '2026-02-01', '1'],
    ]);
    const expired = await driftOf(fleetFiles({ ...live, 'mixgate.yaml': allow('expires: 2025-01-01') }));
    expect(expired.findings.find((each) => each.ruleId === 'drift-allowance-expired')!.location).toMatchObject({
      file: 'mixgate.yaml',
      line: 8,
    });
  });
});

describe('evidence that is not there is no pass', () => {
  it.each<[string, { readonly [path: string]: string }, RegExp]>([
    [
      'an undated snapshot',
      { 'live/us-east.yaml': snapshot('us-east').replace(/^capturedAt:.*\n/m, '') },
      /^The snapshot of us-east does not say when it was captured\.$/,
    ],
    [
      'a snapshot that is too old',
      { 'live/us-east.yaml': snapshot('us-east', { capturedAt: '2026-01-10T06:00:00Z' }) },
      /is 5 d old, more than the 24 h that count/,
    ],
    [
      'a snapshot from the future',
      { 'live/us-east.yaml': snapshot('us-east', { capturedAt: '2026-02-10T06:00:00Z' }) },
      /from the future/,
    ],
    [
      'a capture time that is none',
      { 'live/us-east.yaml': snapshot('us-east', { capturedAt: 'yesterday' }) },
      /not an RFC 3339 instant: yesterday/,
    ],
    ['a snapshot of another cluster', { 'live/us-east.yaml': snapshot('eu-west') }, /says that it is from eu-west/],
    [
      'a snapshot that is not there',
      { 'mixgate.yaml': CONFIG.replace('live/us-east.yaml', 'live/nope.yaml') },
      /has no snapshot at live\/nope\.yaml/,
    ],
  ])('%s: inconclusive', async (_name, files, reason) => {
    const result = await driftOf(fleetFiles(files));
    expect(result.verdict).toBe('inconclusive');
    expect(result.reason).toMatch(reason);
    expect(found(result)).toEqual(['drift-snapshot-unusable us-east warning']);
  });

  it('a drift elsewhere still fails', async () => {
    const result = await driftOf(
      fleetFiles({
        'live/us-east.yaml': snapshot('us-east').replace(/^capturedAt:.*\n/m, ''),
        'live/eu-west.yaml': snapshot('eu-west', { edit: weights(1, 9) }),
      }),
    );
    expect(result.verdict).toBe('fail');
  });

  it('the annotation of a List dates a snapshot too', async () => {
    const list = snapshot('us-east')
      .split('---\n')[1]!
      .replace('metadata:\n  resourceVersion: ""', `metadata:\n  annotations:\n    mixgate.dev/captured-at: "${CAPTURED}"\n`);
    expect((await driftOf(fleetFiles({ 'live/us-east.yaml': list }))).verdict).toBe('pass');
  });

  it('a tag that moves is unverifiable, not equal', async () => {
    const git = manifests('us-east').replace('vllm-openai:v0.11.0', 'vllm-openai:latest');
    const live = snapshot('us-east', { git }).replaceAll('IfNotPresent', 'Always');
    const result = await driftOf(
      fleetFiles({ 'git/us-east/all.yaml': git, 'live/us-east.yaml': live, 'mixgate.yaml': drift('  equal: [weights]\n') }),
    );
    expect([result.verdict, found(result)]).toEqual(['warn', ['drift-unverifiable Deployment/llm/vllm warning']]);
  });

  it('two sources that disagree about one object are a finding', async () => {
    const twice = snapshot('us-east', {
      add: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'routing-policy', namespace: 'llm' }, data: { x: '1' } }],
    });
    expect(found(await driftOf(fleetFiles({ 'live/us-east.yaml': twice })))).toContain('drift-source-conflict us-east error');
  });

  it('an older API generation is a finding of its own, not a drift of fields', async () => {
    const old = snapshot('us-east', {
      edit({ InferencePool }) {
        InferencePool.apiVersion = 'inference.networking.x-k8s.io/v1alpha2';
        InferencePool.spec = {
          selector: { app: 'vllm' },
          targetPortNumber: 8000,
          extensionRef: { name: 'epp', portNumber: 9002, failureMode: 'FailClose' },
        };
      },
    });
    expect(found(await driftOf(fleetFiles({ 'live/us-east.yaml': old })))).toEqual(['drift-api-generation us-east warning']);
  });
});

describe('policy engines', () => {
  const status = (more: JsonObject): { readonly [path: string]: string } => ({
    'live/eu-west.yaml': snapshot('eu-west', { status: more }),
  });
  it.each<[string, { readonly [path: string]: string }, string, readonly string[]]>([
    [
      'another revision than Git',
      { 'live/eu-west.yaml': snapshot('eu-west', { revision: 'r0' }) },
      'fail',
      ['drift-policy-revision-skew eu-west error'],
    ],
    [
      'a failed activation',
      status({ code: 'bundle_error', message: 'rego_type_error' }),
      'fail',
      ['drift-policy-activation-failed eu-west error'],
    ],
    ['errors without a code', status({ errors: [{ message: 'x' }] }), 'fail', ['drift-policy-activation-failed eu-west error']],
    [
      'no contact for a day',
      status({ last_successful_request: '2026-01-14T05:00:00Z' }),
      'warn',
      ['drift-policy-stale eu-west warning'],
    ],
    ['no revision at all', status({ active_revision: '' }), 'warn', ['drift-unverifiable eu-west warning']],
  ])('%s', async (_name, files, verdict, expected) => {
    const result = await driftOf(fleetFiles(files));
    expect([result.verdict, found(result)]).toEqual([verdict, expected]);
  });

  it('compares with most of the fleet where Git declares no revision', async () => {
    const bare = (name: string): string => manifests(name).replace('  revision: r1\n', '');
    const files = fleetFiles(
      Object.fromEntries(
        ['us-east', 'eu-west', 'ap-south'].flatMap((name) => [
          [`git/${name}/all.yaml`, bare(name)],
          [`live/${name}.yaml`, snapshot(name, { git: bare(name), revision: name === 'ap-south' ? 'r0' : 'r1' })],
        ]),
      ),
    );
    expect((await driftOf(files)).findings.map((each) => each.message)).toEqual([
      expect.stringContaining('runs revision r0 of policy bundle routing, most of the fleet says r1'),
    ]);
  });

  it('a revision that this change brings is pending', async () => {
    const next = (name: string): string => manifests(name).replace('revision: r1', 'revision: r2');
    const head = fleetFiles(
      Object.fromEntries(['us-east', 'eu-west', 'ap-south'].map((name) => [`git/${name}/all.yaml`, next(name)])),
    );
    const result = await driftOf(head, { base: fleetFiles() });
    expect(result.verdict).toBe('pass');
    expect(result.findings.filter((each) => each.message.includes('this change brings r2'))).toHaveLength(3);
  });
});

describe('secrets stay secret', () => {
  it('a changed credential is reported without either value', async () => {
    const result = await driftOf(
      fleetFiles({
        'live/us-east.yaml': snapshot('us-east', {
          edit: ({ Deployment }) => (Deployment.spec.template.spec.containers[0].env[0].value = 'hunter3'),
        }),
      }),
    );
    expect(found(result)).toEqual(['drift-field-changed us-east error']);
    expect(result.findings[0]!.message).toContain('= *** (after), Git says *** (before)');
    expect(JSON.stringify(result)).not.toMatch(/hunter|masked:/);
  });
});

describe('what was applied last, where the snapshot says it', () => {
  it('a custom resource without a CRD gets a warning for a field that only live has, and none with its CRD', async () => {
    const custom = 'apiVersion: x.example/v1\nkind: Thing\nmetadata: {name: t, namespace: llm}\nspec: {a: 1}\n';
    const crd =
      'apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.x.example}\nspec:\n  group: x.example\n  names: {kind: Thing}\n  versions:\n    - name: v1\n      schema: {openAPIV3Schema: {properties: {spec: {properties: {b: {default: 2}}}}}}\n';
    const files = fleetFiles({
      'git/us-east/thing.yaml': custom,
      'live/us-east.yaml': snapshot('us-east', {
        add: [{ apiVersion: 'x.example/v1', kind: 'Thing', metadata: { name: 't', namespace: 'llm' }, spec: { a: 1, b: 2 } }],
      }),
      'crds/thing.yaml': crd,
    });
    expect(found(await driftOf(files))).toEqual(['drift-field-changed us-east warning']);
    expect(found(await driftOf({ ...files, 'mixgate.yaml': drift('  crds: [crds/*.yaml]\n') }))).toEqual([]);
    await expect(driftOf({ ...files, 'mixgate.yaml': drift('  crds: [nope/*.yaml]\n') })).rejects.toThrow(
      /drift\.crds matches no file/,
    );
  });
});
