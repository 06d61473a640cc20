import { isObject } from '../core/json.ts';
import type { NormalisedObject } from '../kubernetes/normalise.ts';
import type { Difference } from './difference.ts';
import type { DriftRule } from './rules.ts';

/** What a difference can do: move requests, weaken a protection, or neither. */
export type DriftClass = 'traffic' | 'safety' | 'cosmetic';

export interface Classified {
  readonly rule: DriftRule;
  readonly class: DriftClass;
}

const ROUTING_KINDS = new Set([
  'HTTPRoute',
  'GRPCRoute',
  'Gateway',
  'InferencePool',
  'InferenceModel',
  'InferenceObjective',
  'InferenceModelRewrite',
  'AIGatewayRoute',
  'AIServiceBackend',
  'LLMInferenceService',
  'InferenceService',
  'VirtualService',
  'DestinationRule',
  'Service',
]);
const WORKLOAD_KINDS = new Set(['Deployment', 'StatefulSet', 'DaemonSet']);
const HARMLESS =
  /\.(revisionHistoryLimit|progressDeadlineSeconds|minReadySeconds|terminationMessagePath|terminationMessagePolicy|terminationGracePeriodSeconds|schedulerName|imagePullPolicy|paused)$/;

export function isRouting(kind: string): boolean {
  return ROUTING_KINDS.has(kind);
}

/** Which rule reports a difference, and how grave it is. Unknown parts of a spec count as safety: better asked than missed. */
export function classify(object: NormalisedObject, difference: Difference): Classified {
  const { label } = difference;
  const { kind } = object;
  if (WORKLOAD_KINDS.has(kind)) {
    if (/^\.spec\.template\.metadata\.labels\["mixgate\.dev\/model/.test(label))
      return { rule: 'drift-model-changed', class: 'traffic' };
    if (
      /\.containers\[[^\][]*\](\.image$|\.args\.(model|revision|tokenizer|quantization|dtype|served-model-name|max-model-len|tensor-parallel-size|enable-expert-parallel|enable-lora|lora-modules|load-format|kv-cache-dtype|code-revision))/.test(
        label,
      )
    )
      return { rule: 'drift-model-changed', class: 'traffic' };
    // An autoscaler moves replicas; none at all is another matter.
    if (label === '.spec.replicas')
      return { rule: 'drift-field-changed', class: difference.left === 0 || difference.right === 0 ? 'traffic' : 'cosmetic' };
    if (label.startsWith('.spec.selector')) return { rule: 'drift-field-changed', class: 'traffic' };
  }
  if (kind === 'ConfigMap' && (label.startsWith('.data') || label.startsWith('.binaryData'))) {
    const policy = /\.rego"?\]?$|\.json"?\]?$/.test(label) || isPolicyBundle(object);
    return { rule: policy ? 'drift-policy-changed' : 'drift-field-changed', class: 'safety' };
  }
  if (label.startsWith('.metadata.')) return { rule: 'drift-field-changed', class: 'cosmetic' };
  if (HARMLESS.test(label) || /\.(metadata\.(labels|annotations))/.test(label))
    return { rule: 'drift-field-changed', class: 'cosmetic' };
  if (ROUTING_KINDS.has(kind)) {
    // A backend with no traffic that comes or goes moves nothing.
    if (/\.backendRefs\[[^\][]*\]$/.test(label) && isIdle(difference)) return { rule: 'drift-field-changed', class: 'cosmetic' };
    return { rule: 'drift-field-changed', class: 'traffic' };
  }
  return { rule: 'drift-field-changed', class: 'safety' };
}

export function isPolicyBundle(object: Pick<NormalisedObject, 'value'>): boolean {
  const metadata = object.value['metadata'];
  const labels = isObject(metadata) ? metadata['labels'] : undefined;
  return isObject(labels) && (labels['mixgate.dev/policy-bundle'] ?? labels['openpolicyagent.org/policy']) !== undefined;
}

function isIdle(difference: Difference): boolean {
  const member = difference.left ?? difference.right;
  return (
    (difference.left === undefined || difference.right === undefined) &&
    (member as { weight?: unknown } | undefined)?.weight === 0
  );
}
