import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCatalogGate } from '../../src/catalog/gate.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { GateResult } from '../../src/core/gate.ts';
import { type Files, gateContext, tempTree } from '../drift/support/gate.ts';
import { ROOT } from '../support/cli.ts';

export const MICRO = join(ROOT, 'reference-runtime/models/mixtral-micro-q8_0.gguf');

export const MODEL = readFileSync(join(ROOT, 'examples/fleet/catalog/models/mixtral-8x7b-instruct-1.0.0.yaml'), 'utf8');

export const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: {name: vllm, namespace: llm}
spec:
  template:
    metadata:
      labels:
        app: vllm
        mixgate.dev/model: mixtral-8x7b-instruct
        mixgate.dev/model-version: 1.0.0
    spec:
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.11.0
          args:
            - --model=mistralai/Mixtral-8x7B-Instruct-v0.1
            - --revision=eba92302a2861cdc0098cc54bc9f17cb2c47eb61
            - --quantization=fp8
            - --max-model-len=8192
            - --max-num-seqs=8
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: us-east-gpu, namespace: llm}
spec: {selector: {matchLabels: {app: vllm}}, targetPorts: [{number: 8000}]}
`;

const CONFIG = `version: 1
catalog: {models: [catalog/models/*.yaml], pools: catalog/pools.yaml}
clusters:
  - {name: us-east, overlay: git, region: us-east-1, jurisdiction: US, trustZone: us}
`;
const POOLS = 'pools:\n  - {id: us-east-gpu, cluster: us-east, accelerator: gpu, device: H100-80GB, memory: 80GiB}\n';

/** A catalogue of one model that one deployment runs, without a fault. */
export function catalogFiles(over: Files = {}): Files {
  return {
    'mixgate.yaml': CONFIG,
    'catalog/pools.yaml': POOLS,
    'catalog/models/m.yaml': MODEL,
    'git/all.yaml': DEPLOYMENT,
    ...over,
  };
}

export async function catalogOf(files: Files, baseFiles?: Files): Promise<GateResult> {
  using head = tempTree(files);
  using base = baseFiles === undefined ? undefined : tempTree(baseFiles);
  const { config } = await loadConfig(head);
  return await runCatalogGate(gateContext(head, base), config.catalog!, config);
}

export const rules = (result: GateResult): readonly string[] =>
  result.findings.map((finding) => `${finding.ruleId} ${finding.level}`);

type Value = string | number | readonly string[];

/** A GGUF v3 file with these metadata and tensors; tensor data are zeros. */
export function gguf(
  metadata: { readonly [key: string]: Value },
  tensors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly type?: number;
    readonly offset?: number;
  }[],
  options: { readonly data?: number; readonly count?: number } = {},
): Buffer {
  const parts: Buffer[] = [];
  const u32 = (n: number): void => void parts.push(Buffer.from(new Uint32Array([n]).buffer));
  const u64 = (n: number | bigint): void => void parts.push(Buffer.from(new BigUint64Array([BigInt(n)]).buffer));
  const text = (s: string): void => {
    u64(Buffer.byteLength(s));
    parts.push(Buffer.from(s));
  };
  parts.push(Buffer.from('GGUF'));
  u32(3);
  u64(options.count ?? tensors.length);
  u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    text(key);
    if (typeof value === 'string') {
      u32(8);
      text(value);
    } else if (typeof value === 'number') {
      u32(4);
      u32(value);
    } else {
      u32(9);
      u32(8);
      u64(value.length);
      for (const item of value) text(item);
    }
  }
  let offset = 0;
  for (const tensor of tensors) {
    text(tensor.name);
    u32(tensor.shape.length);
    for (const size of tensor.shape) u64(size);
    u32(tensor.type ?? 0);
    u64(tensor.offset ?? offset);
    offset += tensor.shape.reduce((a, b) => a * b, 1) * 4;
  }
  const header = Buffer.concat(parts);
  return Buffer.concat([header, Buffer.alloc((32 - (header.length % 32)) % 32), Buffer.alloc(options.data ?? offset)]);
}

export const TINY = {
  'general.architecture': 'llama',
  'llama.block_count': 1,
  'llama.embedding_length': 8,
  'llama.attention.head_count': 2,
  'llama.attention.head_count_kv': 1,
  'llama.feed_forward_length': 4,
  'llama.context_length': 16,
  'llama.expert_count': 4,
  'llama.expert_used_count': 2,
  'llama.vocab_size': 10,
} as const;
export const TINY_TENSORS = [
  { name: 'token_embd.weight', shape: [8, 10] },
  { name: 'blk.0.ffn_up_exps.weight', shape: [8, 4, 4] },
];
