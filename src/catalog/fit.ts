import type { Finding } from '../core/finding.ts';
import { capitalised } from '../core/text.ts';
import { formatBytes } from './bytes.ts';
import { type Capacity, DEFAULT_BATCH_TOKENS, type MemoryPlan, type ModelNeeds, planMemory, remedies } from './memory-plan.ts';
import { modelTitle } from './metadata.ts';
import type { CatalogModel, Pool } from './model.ts';
import { bitsPerWeight, PROPOSALS } from './quantisation.ts';
import { type ModelReference, numberOf, textOf } from './references.ts';
import { catalogFinding } from './rules.ts';

/** One workload's replica against the pool it is deployed to. */
export interface Fit {
  readonly reference: ModelReference;
  readonly model: CatalogModel;
  readonly pool: Pool;
  readonly needs: ModelNeeds;
  readonly capacity: Capacity;
  readonly plan: MemoryPlan;
}

/** Memory of a deployed model: flags of the server first, else what the catalogue says it is sized for. Undefined for an unknown quantisation. */
export function fitReference(reference: ModelReference, model: CatalogModel, pool: Pool): Fit | undefined {
  const { value } = model;
  const bits = bitsPerWeight(value.quantisation);
  if (bits === undefined) return undefined;
  const { flags } = reference;
  const kvFlag = textOf(flags['kv-cache-dtype']);
  const needs: ModelNeeds = {
    architecture: value.architecture,
    weightBytes: value.artifact.bytes ?? Math.ceil((value.parameters.total * bits) / 8),
    context: numberOf(flags['max-model-len']) ?? value.serving.context,
    sequences: numberOf(flags['max-num-seqs']) ?? value.serving.sequences,
    batchTokens: numberOf(flags['max-num-batched-tokens']) ?? value.serving.batchTokens ?? DEFAULT_BATCH_TOKENS,
    kvCacheType: kvFlag === undefined ? (value.serving.kvCacheType ?? 'f16') : kvFlag.startsWith('fp8') ? 'fp8' : 'f16',
  };
  const share = Number(textOf(flags['gpu-memory-utilization']));
  const capacity: Capacity = {
    memoryBytes: pool.memoryBytes,
    accelerators: numberOf(flags['tensor-parallel-size']) ?? pool.count,
    overheadBytes: pool.overheadBytes,
    // vLLM takes nine tenths of the memory unless it is told otherwise.
    utilisation:
      share > 0 && share <= 1 ? share : reference.server === 'vllm' ? Math.min(0.9, pool.utilisation) : pool.utilisation,
  };
  return { reference, model, pool, needs, capacity, plan: planMemory(needs, capacity) };
}

/** The finding on a model that does not fit a pool, with what would make it fit; undefined when it fits. */
export function memoryFinding(fit: Fit): Finding | undefined {
  const { plan, needs, capacity, reference, model, pool } = fit;
  if (plan.fits) return undefined;
  const total = model.value.parameters.total;
  const fixes = remedies(
    needs,
    capacity,
    total,
    PROPOSALS.map((name) => [name, bitsPerWeight(name)!] as const),
  );
  const moe = model.value.architecture.experts > 1;
  return catalogFinding('catalog-memory-exceeded', {
    message:
      `${modelTitle(model)} needs ${formatBytes(plan.total)} in pool ${pool.id}, which gives a replica ${formatBytes(plan.available)}. ` +
      `Weights ${formatBytes(plan.weights)} (${total.toLocaleString('en-US')} parameters in ${model.value.quantisation}${moe ? ', all experts' : ''}), KV cache ${formatBytes(plan.kvCache)} ` +
      `(${needs.sequences} sequences of ${needs.context} tokens), activations ${formatBytes(plan.activations)}, overhead ${formatBytes(plan.overhead)}.`,
    location: reference.location,
    related: [
      { ...model.locate(['quantisation']), message: 'how its weights are stored' },
      { ...model.locate(['parameters']), message: 'its parameters' },
    ],
    evidence: {
      workload: reference.workload,
      cluster: reference.cluster,
      pool: pool.id,
      device: pool.device ?? pool.accelerator,
      parametersTotal: total,
      parametersActive: model.value.parameters.active,
      quantisation: model.value.quantisation,
      plan: planEvidence(plan),
      accelerators: capacity.accelerators,
      utilisation: capacity.utilisation,
      remedies: { quantisations: [...fixes.quantisations], sequences: fixes.sequences, accelerators: fixes.accelerators ?? 0 },
    },
    fix: remedyText(fixes, needs, capacity),
    subject: pool.id,
  });
}

export function planEvidence(plan: MemoryPlan): { readonly [part: string]: number } {
  return {
    weightsBytes: plan.weights,
    kvCacheBytes: plan.kvCache,
    activationsBytes: plan.activations,
    overheadBytes: plan.overhead,
    totalBytes: plan.total,
    availableBytes: plan.available,
  };
}

export function remedyText(fixes: ReturnType<typeof remedies>, needs: ModelNeeds, capacity: Capacity): string {
  const options: string[] = [];
  if (fixes.quantisations.length > 0) options.push(`store the weights as ${fixes.quantisations.slice(0, 3).join(' or ')}`);
  if (fixes.sequences > 0) options.push(`serve at most ${fixes.sequences} sequences of ${needs.context} tokens`);
  if (fixes.accelerators !== undefined)
    options.push(`spread a replica over ${fixes.accelerators} accelerators (now ${capacity.accelerators})`);
  if (options.length === 0) return 'Nothing makes it fit here: use accelerators with more memory.';
  const text = options.join(', or ');
  return `${capitalised(text)}. Fewer active parameters do not help: every expert must be in memory.`;
}
