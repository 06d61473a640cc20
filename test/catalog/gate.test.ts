import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readArtifacts } from '../../src/catalog/gate.ts';
import { readModels } from '../../src/catalog/model.ts';
import { stampModelDigest } from '../../src/catalog/stamp.ts';
import { type Files, FLEET, tempTree } from '../drift/support/gate.ts';
import { ROOT } from '../support/cli.ts';
import { catalogFiles, catalogOf, DEPLOYMENT, gguf, MICRO, MODEL, rules, TINY, TINY_TENSORS } from './support.ts';

const model = (from: string | RegExp, to: string): Files => ({ 'catalog/models/m.yaml': MODEL.replace(from, to) });
const deployment = (from: string | RegExp, to: string): Files => ({ 'git/all.yaml': DEPLOYMENT.replace(from, to) });

describe('a complete catalogue', () => {
  it('passes, with the plan of every deployment', async () => {
    const result = await catalogOf(catalogFiles());
    expect([result.verdict, rules(result)]).toEqual(['pass', []]);
    expect(result.tables![1]!.rows[0]).toEqual([
      'us-east-gpu',
      'Deployment/llm/vllm',
      'mixtral-8x7b-instruct 1.0.0',
      '43.50 GiB',
      '8.00 GiB',
      '216.98 MiB',
      '1.00 GiB',
      '52.71 GiB',
      '72.00 GiB',
      'yes',
    ]);
    expect(result.subjects).toEqual([
      { name: 'model/mixtral-8x7b-instruct@1.0.0', digest: { gitCommit: 'eba92302a2861cdc0098cc54bc9f17cb2c47eb61' } },
    ]);
  });

  it('names the workload in the chart where a pool has two of the same model, and only there', async () => {
    const next = DEPLOYMENT.split('---\n')[0]!.replace('{name: vllm,', '{name: vllm-next,');
    const chart = (await catalogOf(catalogFiles({ 'git/all.yaml': `${DEPLOYMENT}---\n${next}` }))).charts?.[0];
    const label = 'us-east-gpu mixtral-8x7b-instruct 1.0.0';
    expect(chart).toMatchObject({ categories: [`${label} (Deployment/llm/vllm)`, `${label} (Deployment/llm/vllm-next)`] });
    expect((await catalogOf(catalogFiles())).charts?.[0]).toMatchObject({ categories: [label] });
  });

  it('the digest of mixtral-micro in the example fleet is that of the file in the repository', () => {
    const { artifact } = parse(readFileSync(join(FLEET, 'catalog/models/mixtral-micro-1.0.0.yaml'), 'utf8')) as {
      artifact: { digest: string; bytes: number };
    };
    const bytes = readFileSync(MICRO);
    expect(artifact).toMatchObject({ digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, bytes: bytes.length });
  });
});

describe('each rule, at its line', () => {
  it.each<[string, Files, readonly string[], string, RegExp]>([
    [
      'a key that is missing',
      model(/^owner:.*\n/m, ''),
      ['catalog-metadata-invalid error', 'catalog-reference-unknown error'],
      'catalog/models/m.yaml:1',
      /lacks the key `owner`/,
    ],
    [
      'a key that is unknown',
      model('licence: Apache', 'license: MIT\nlicence: Apache'),
      ['catalog-metadata-invalid error', 'catalog-reference-unknown error'],
      'catalog/models/m.yaml:5',
      /unknown key `license`/,
    ],
    [
      'a version that is not semantic',
      model('version: 1.0.0', 'version: "1.0"'),
      ['catalog-metadata-invalid error', 'catalog-reference-unknown error'],
      'catalog/models/m.yaml:2',
      /version is "1\.0"/,
    ],
    [
      'an unknown quantisation',
      model('quantisation: FP8', 'quantisation: Q8'),
      ['catalog-metadata-invalid error'],
      'catalog/models/m.yaml:27',
      /how many bits/,
    ],
    [
      'malformed YAML',
      { 'catalog/models/m.yaml': 'id: [1\nb: 2\n' },
      ['catalog-metadata-invalid error', 'catalog-reference-unknown error'],
      'catalog/models/m.yaml:2',
      /not valid YAML/,
    ],
    [
      'neither digest nor revision',
      model(/^ {2}revision:.*\n/m, ''),
      ['catalog-digest-missing error'],
      'catalog/models/m.yaml:8',
      /neither a digest nor a revision/,
    ],
    [
      'a digest that is only a placeholder',
      model(/^ {2}revision:.*/m, `  digest: sha256:${'0'.repeat(64)}`),
      ['catalog-digest-missing error'],
      'catalog/models/m.yaml:10',
      /neither a digest nor a revision/,
    ],
    [
      'a file that is not there',
      model('  revision:', '  path: models/x.gguf\n  revision:'),
      ['catalog-artifact-missing error'],
      'catalog/models/m.yaml:10',
      /names the file models\/x\.gguf/,
    ],
    [
      'active parameters as total',
      model('total: 46702792704', 'total: 12879925248'),
      ['catalog-parameters-active error'],
      'catalog/models/m.yaml:25',
      /gives its active parameters \(12,879,925,248\) as the total, which is 46,702,792,704/,
    ],
    [
      'a total that is another',
      model('total: 46702792704', 'total: 56000000000'),
      ['catalog-parameters-active error'],
      'catalog/models/m.yaml:25',
      /its architecture has 46,702,792,704/,
    ],
    [
      'all parameters active in a mixture of experts',
      model('active: 12879925248', 'active: 46702792704'),
      ['catalog-parameters-active error'],
      'catalog/models/m.yaml:26',
      /uses 2 of 8 experts/,
    ],
    [
      'an active count that is another',
      model('active: 12879925248', 'active: 7000000000'),
      ['catalog-parameters-active warning'],
      'catalog/models/m.yaml:26',
      /its architecture has 12,879,925,248/,
    ],
    [
      'more active experts than experts',
      model('activeExperts: 2', 'activeExperts: 9'),
      ['catalog-architecture-inconsistent error', 'catalog-parameters-active warning'],
      'catalog/models/m.yaml:22',
      /9 experts are active of 8/,
    ],
    [
      'a size that the weights cannot have',
      model('  revision:', '  bytes: 12000000000\n  revision:'),
      ['catalog-architecture-inconsistent error'],
      'catalog/models/m.yaml:10',
      /cannot be 12,000,000,000 bytes/,
    ],
    [
      'the same version twice',
      { 'catalog/models/n.yaml': MODEL },
      ['catalog-version-duplicate error'],
      'catalog/models/n.yaml:2',
      /is described twice/,
    ],
    [
      'a version that the catalogue does not have',
      deployment('model-version: 1.0.0', 'model-version: 2.0.0'),
      ['catalog-reference-unknown error'],
      'git/all.yaml:10',
      /runs mixtral-8x7b-instruct 2\.0\.0, which the catalogue does not have/,
    ],
    [
      'a model server without labels',
      deployment(/ {8}mixgate\.dev.*\n/g, ''),
      ['catalog-reference-unknown error'],
      'git/all.yaml:8',
      /without saying which version/,
    ],
    [
      'a retired model',
      model('lifecycle: production', 'lifecycle: retired'),
      ['catalog-lifecycle-violated error'],
      'git/all.yaml:10',
      /which is retired/,
    ],
    [
      'a deprecated model',
      model('lifecycle: production', 'lifecycle: deprecated'),
      ['catalog-lifecycle-violated warning'],
      'git/all.yaml:10',
      /which is deprecated/,
    ],
    [
      'another revision',
      deployment('--revision=eba', '--revision=abc'),
      ['catalog-reference-mismatch error'],
      'git/all.yaml:17',
      /loads revision abc92302/,
    ],
    [
      'a quantisation flag left out',
      deployment(/ {12}- --quantization=fp8\n/, ''),
      ['catalog-reference-mismatch error'],
      'git/all.yaml:16',
      /so its weights stay 16-bit/,
    ],
    [
      'another quantisation flag',
      deployment('fp8', 'awq'),
      ['catalog-reference-mismatch error'],
      'git/all.yaml:18',
      /--quantization=awq/,
    ],
    [
      'more sequences than fit',
      deployment('--max-num-seqs=8', '--max-num-seqs=64'),
      ['catalog-memory-exceeded error'],
      'git/all.yaml:10',
      /needs 108\.7\d GiB in pool us-east-gpu, which gives a replica 72\.00 GiB/,
    ],
    [
      'a pool that is not listed',
      { 'catalog/pools.yaml': 'pools:\n  - {id: other, cluster: us-east, accelerator: gpu, memory: 80GiB}\n' },
      ['catalog-pool-unknown warning'],
      'git/all.yaml:10',
      /Pool us-east-gpu.*is not in the list/,
    ],
    [
      'no pool that selects it',
      deployment('matchLabels: {app: vllm}', 'matchLabels: {app: else}'),
      ['catalog-pool-unknown warning'],
      'git/all.yaml:10',
      /No InferencePool of us-east selects/,
    ],
  ])('%s', async (_name, files, expected, place, message) => {
    const result = await catalogOf(catalogFiles(files));
    expect(rules(result)).toEqual(expected);
    const finding = result.findings.find((each) => message.test(each.message));
    expect(finding?.message).toMatch(message);
    expect(`${finding?.location?.file}:${finding?.location?.line}`).toBe(place);
    expect(finding?.fix).toBeTruthy();
  });

  it('an unknown pool is not a pass', async () => {
    expect(
      (
        await catalogOf(
          catalogFiles({ 'catalog/pools.yaml': 'pools:\n  - {id: other, cluster: us-east, accelerator: gpu, memory: 80GiB}\n' }),
        )
      ).verdict,
    ).toBe('inconclusive');
  });

  it('F16 on one 80 GiB accelerator: the numbers, and what fits', async () => {
    const result = await catalogOf(
      catalogFiles({ ...model('quantisation: FP8', 'quantisation: F16'), ...deployment(/ {12}- --quantization=fp8\n/, '') }),
    );
    expect(rules(result)).toEqual(['catalog-memory-exceeded error']);
    expect(result.findings[0]).toMatchObject({
      message: expect.stringMatching(
        /needs 96\.20 GiB .* 72\.00 GiB\. Weights 86\.99 GiB \(46,702,792,704 parameters in F16, all experts\), KV cache 8\.00 GiB/,
      ),
      evidence: {
        parametersTotal: 46_702_792_704,
        plan: { weightsBytes: 93_405_585_408, kvCacheBytes: 8_589_934_592 },
        remedies: { accelerators: 2, sequences: 0 },
      },
      fix: expect.stringMatching(/^Store the weights as Q8_0 or FP8 .*spread a replica over 2 accelerators/),
    });
  });

  it.each([
    ['two accelerators by --tensor-parallel-size', '--tensor-parallel-size=2', 'pass'],
    ['the memory that vLLM is allowed', '--gpu-memory-utilization=0.6', 'fail'],
    ['an fp8 KV cache', '--kv-cache-dtype=fp8', 'pass'],
  ])('%s counts', async (_name, flag, verdict) => {
    expect(
      (
        await catalogOf(
          catalogFiles(deployment('            - --max-num-seqs=8', `            - --max-num-seqs=8\n            - ${flag}`)),
        )
      ).verdict,
    ).toBe(verdict);
  });
});

describe('a version is what it was', () => {
  it.each<[string, Files, readonly string[]]>([
    ['another revision', model('eba92302', 'abc92302'), ['catalog-reference-mismatch error', 'catalog-version-mutated error']],
    [
      'another quantisation',
      model('quantisation: FP8', 'quantisation: Q4_0'),
      ['catalog-reference-mismatch error', 'catalog-version-mutated error'],
    ],
    ['a new lifecycle stage is no mutation', model('lifecycle: production', 'lifecycle: candidate'), []],
    ['a new place of the same bytes is no mutation', model('hf://mistralai', 'oci://mirror'), []],
  ])('%s', async (_name, files, expected) => {
    expect([...rules(await catalogOf(catalogFiles(files), catalogFiles()))].sort()).toEqual(expected);
  });
});

describe('model files in the repository', () => {
  const tiny = gguf(TINY, TINY_TENSORS);
  const digest = createHash('sha256').update(tiny).digest('hex');
  const described = (sha256: string, more = ''): string =>
    MODEL.replace(/^ {2}revision:.*/m, `  path: models/tiny.gguf\n  digest: sha256:${sha256}${more}`)
      .replace('format: safetensors', 'format: gguf')
      .replace(
        /architecture:[\s\S]*?quantisation: FP8/,
        'architecture: {family: other, layers: 1, hiddenSize: 8, heads: 2, kvHeads: 1, headDim: 4, feedForwardSize: 4, vocabularySize: 10, contextLength: 16, experts: 4, activeExperts: 2}\nparameters: {total: 208, active: 144}\nquantisation: F32',
      );
  const withFile = (text: string, file: Buffer): Files =>
    catalogFiles({ 'catalog/models/m.yaml': text, 'models/tiny.gguf': file as unknown as string });

  it.each<[string, Files, readonly string[], RegExp]>([
    ['the right file', withFile(described(digest), tiny), [], /^$/],
    ['another file', withFile(described('a'.repeat(64)), tiny), ['catalog-digest-mismatch error'], /is not the file that/],
    [
      'another size',
      withFile(described(digest, '\n  bytes: 833'), tiny),
      ['catalog-digest-mismatch error'],
      new RegExp(`has ${tiny.length} bytes`),
    ],
    [
      'a file that is cut short',
      withFile(described(createHash('sha256').update(tiny.subarray(0, 700)).digest('hex')), tiny.subarray(0, 700)),
      ['catalog-architecture-inconsistent error'],
      /is no usable model: the .*cut short/,
    ],
    [
      'a header with other facts',
      withFile(described(digest).replace('experts: 4', 'experts: 8').replace('total: 208', 'total: 999'), tiny),
      ['catalog-architecture-inconsistent error', 'catalog-parameters-active error'],
      /experts is 8, the header of models\/tiny\.gguf says 4/,
    ],
    [
      'a Git LFS pointer to the right file',
      withFile(
        described(digest),
        Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${digest}\nsize ${tiny.length}\n`),
      ),
      [],
      /^$/,
    ],
    [
      'a Git LFS pointer to another file',
      withFile(
        described(digest),
        Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${'b'.repeat(64)}\nsize 1\n`),
      ),
      ['catalog-digest-mismatch error'],
      /is not the file that/,
    ],
  ])('%s', async (_name, files, expected, message) => {
    const result = await catalogOf({ ...files, 'git/all.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n' });
    expect(rules(result)).toEqual(expected);
    if (expected.length > 0) expect(result.findings.map((each) => each.message).join('\n')).toMatch(message);
  });

  it('stampModelDigest writes digest and size of the real file, keeps comments, and the gate is content', async () => {
    using tree = tempTree({
      'models/m.yaml': readFileSync(
        join(ROOT, 'examples/fleet-changes/good/catalog/models/mixtral-micro-1.1.0.yaml'),
        'utf8',
      ).replace('  format: gguf', '  path: micro.gguf\n  format: gguf'),
    });
    copyFileSync(MICRO, join(tree.dir, 'micro.gguf'));
    const stamped = await stampModelDigest(join(tree.dir, 'models/m.yaml'), MICRO);
    const text = readFileSync(join(tree.dir, 'models/m.yaml'), 'utf8');
    expect(text).toContain(`digest: ${stamped}`);
    expect(text).toContain('# Sixty-four zeros');
    const { models } = await readModels(tree, ['models/*.yaml']);
    expect((await readArtifacts(tree, models)).get('models/m.yaml')).toMatchObject({
      sha256: stamped.slice(7),
      header: { parameters: { total: 5_512_896 } },
    });
  });
});
