import { isObject, type Json, type JsonObject } from '../core/json.ts';
import { groupOf } from './object.ts';
import { textAt } from './path.ts';

export interface Converted {
  readonly value: JsonObject;
  /** The API version it was written in, when that is an older generation. */
  readonly from: string | undefined;
}

/** API versions of one group whose schema is the same as v1 for the fields people write. */
const SAME_SCHEMA: { readonly [groupKind: string]: string } = {
  'gateway.networking.k8s.io/HTTPRoute': 'v1',
  'gateway.networking.k8s.io/Gateway': 'v1',
  'gateway.networking.k8s.io/GRPCRoute': 'v1',
  'networking.istio.io/VirtualService': 'v1',
  'networking.istio.io/DestinationRule': 'v1',
  'aigateway.envoyproxy.io/AIGatewayRoute': 'v1beta1',
  'aigateway.envoyproxy.io/AIServiceBackend': 'v1beta1',
};

const OLD_INFERENCE_GROUP = 'inference.networking.x-k8s.io';
const INFERENCE_GROUP = 'inference.networking.k8s.io';

/** Brings an object to the API generation that everything is compared in. */
export function convertGeneration(value: JsonObject): Converted {
  const apiVersion = textAt(value, ['apiVersion']) ?? '';
  const kind = textAt(value, ['kind']) ?? '';
  const group = groupOf(apiVersion);
  if (group === OLD_INFERENCE_GROUP && kind === 'InferencePool') return { value: inferencePoolToV1(value), from: apiVersion };
  const version = SAME_SCHEMA[`${group}/${kind}`];
  const target = `${group}/${version}`;
  const current = renameBackendGroups(value, kind);
  if (version === undefined || apiVersion === target) return { value: current, from: undefined };
  return { value: { ...current, apiVersion: target }, from: apiVersion };
}

/**
 * InferencePool v1alpha2 → v1, as the conversion webhook of Gateway API Inference Extension does: the selector moves below
 * `matchLabels`, `targetPortNumber` becomes a list, `extensionRef` becomes `endpointPickerRef` with its port in an object.
 */
function inferencePoolToV1(value: JsonObject): JsonObject {
  const spec = isObject(value['spec']) ? value['spec'] : {};
  const { selector, targetPortNumber, extensionRef, ...rest } = spec;
  const converted: Record<string, Json> = { ...rest };
  if (isObject(selector)) converted['selector'] = isObject(selector['matchLabels']) ? selector : { matchLabels: selector };
  if (targetPortNumber !== undefined) converted['targetPorts'] = [{ number: targetPortNumber }];
  if (isObject(extensionRef)) {
    const { portNumber, ...reference } = extensionRef;
    // 9002 is v1alpha2's documented port of an endpoint picker that names none.
    converted['endpointPickerRef'] = { ...reference, port: { number: portNumber ?? 9002 } };
  }
  return { ...value, apiVersion: `${INFERENCE_GROUP}/v1`, spec: converted };
}

/** A route that names a pool by its old group means the same pool. */
function renameBackendGroups(value: JsonObject, kind: string): JsonObject {
  if (kind !== 'HTTPRoute' && kind !== 'GRPCRoute') return value;
  const rename = (node: Json): Json => {
    if (Array.isArray(node)) return (node as readonly Json[]).map(rename);
    if (!isObject(node)) return node;
    const copy: Record<string, Json> = {};
    for (const [key, member] of Object.entries(node)) copy[key] = rename(member);
    if (copy['group'] === OLD_INFERENCE_GROUP && copy['kind'] === 'InferencePool') copy['group'] = INFERENCE_GROUP;
    return copy;
  };
  return isObject(value['spec']) ? { ...value, spec: rename(value['spec']) } : value;
}
