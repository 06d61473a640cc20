import type { Finding } from '../core/finding.ts';
import { type GateResult, gateResult } from '../core/gate.ts';
import { formatBytes } from './bytes.ts';
import { planEvidence, remedyText } from './fit.ts';
import type { ModelFile } from './gguf.ts';
import { type Capacity, type ModelNeeds, planMemory, remedies } from './memory-plan.ts';
import { bitsPerWeight, PROPOSALS } from './quantisation.ts';
import { catalogFinding } from './rules.ts';

export interface FitRequest {
  /** The path, as the user wrote it. */
  readonly file: string;
  readonly model: ModelFile;
  readonly context: number;
  readonly sequences: number;
  readonly batchTokens: number;
  readonly kvCacheType: string;
  readonly capacity: Capacity;
}

/** Whether a model file fits a memory, with where the memory goes. Pure. */
export function evaluateFit(request: FitRequest): GateResult {
  const { model, capacity, file } = request;
  const a = model.architecture;
  const needs: ModelNeeds = { ...request, architecture: a, weightBytes: model.weightBytes };
  const plan = planMemory(needs, capacity);
  const fixes = remedies(
    needs,
    capacity,
    model.parameters.total,
    PROPOSALS.map((name) => [name, bitsPerWeight(name)!] as const),
  );
  const findings: Finding[] = [];
  if (!plan.fits) {
    findings.push(
      catalogFinding('catalog-memory-exceeded', {
        message: `The model needs ${formatBytes(plan.total)}, there are ${formatBytes(plan.available)}.`,
        location: { file },
        evidence: {
          plan: planEvidence(plan),
          remedies: {
            quantisations: [...fixes.quantisations],
            sequences: fixes.sequences,
            accelerators: fixes.accelerators ?? 0,
          },
        },
        fix: remedyText(fixes, needs, capacity),
      }),
    );
  }
  if (a.contextLength > 0 && request.context > a.contextLength) {
    findings.push(
      catalogFinding('catalog-architecture-inconsistent', {
        level: 'warning',
        message: `A context of ${request.context} tokens is more than the ${a.contextLength} that the model was made for.`,
        location: { file },
        fix: `Plan with --context ${a.contextLength}.`,
      }),
    );
  }
  const share = (bytes: number): string => `${((bytes / plan.available) * 100).toFixed(1)} %`;
  const most = Math.floor(
    (plan.available - planMemory({ ...needs, sequences: 0 }, capacity).total) /
      (plan.kvPerToken * request.context + a.vocabularySize * 4 * capacity.accelerators),
  );
  return gateResult({
    id: 'catalog',
    findings,
    measurements: [
      { name: 'catalog.memory.weights', value: plan.weights, unit: 'By' },
      { name: 'catalog.memory.kv_cache', value: plan.kvCache, unit: 'By' },
      { name: 'catalog.memory.activations', value: plan.activations, unit: 'By' },
      { name: 'catalog.memory.overhead', value: plan.overhead, unit: 'By' },
      {
        name: 'catalog.memory.required',
        value: plan.total,
        unit: 'By',
        limit: plan.available,
        verdict: plan.fits ? 'pass' : 'fail',
      },
      { name: 'catalog.parameters.total', value: model.parameters.total, unit: '{parameter}' },
      { name: 'catalog.parameters.active', value: model.parameters.active, unit: '{parameter}' },
      { name: 'catalog.sequences.max', value: Math.max(0, most), unit: '{sequence}' },
    ],
    tables: [
      {
        title: 'Where the memory goes',
        columns: ['part', 'bytes', '', 'of the memory'],
        rows: [
          ['weights, all experts', String(plan.weights), formatBytes(plan.weights), share(plan.weights)],
          [
            `KV cache, ${request.sequences} x ${request.context} tokens, ${request.kvCacheType}`,
            String(plan.kvCache),
            formatBytes(plan.kvCache),
            share(plan.kvCache),
          ],
          ['activations (estimate)', String(plan.activations), formatBytes(plan.activations), share(plan.activations)],
          ['overhead', String(plan.overhead), formatBytes(plan.overhead), share(plan.overhead)],
          ['needed', String(plan.total), formatBytes(plan.total), share(plan.total)],
          ['available', String(plan.available), formatBytes(plan.available), ''],
        ],
      },
      {
        title: 'The model file',
        columns: ['fact', 'value'],
        rows: [
          ['architecture', `${a.family}, ${a.layers} layers, width ${a.hiddenSize}, ${a.heads} heads, ${a.kvHeads} KV heads`],
          ['experts', a.experts > 1 ? `${a.activeExperts} of ${a.experts}` : 'dense'],
          [
            'parameters',
            `${model.parameters.total.toLocaleString('en-US')} (${model.parameters.active.toLocaleString('en-US')} active)`,
          ],
          ['weights', model.quantisation],
          ['context', String(a.contextLength)],
          ['sequences that fit', String(Math.max(0, most))],
        ],
      },
    ],
    passReason: `the model needs ${formatBytes(plan.total)} of ${formatBytes(plan.available)}`,
  });
}
