import type { Path } from '../config/document.ts';
import type { Location } from '../core/finding.ts';
import type { JsonObject } from '../core/json.ts';
import { textAt } from './path.ts';

/** One Kubernetes object as it was written, rendered or read back, with the place of each of its fields. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  /** Empty for objects without one. */
  readonly namespace: string;
  readonly name: string;
  readonly value: JsonObject;
  /** The place of the field, or of its nearest parent that is written down. */
  locate(path: Path): Location;
}

export function kubeObject(value: JsonObject, locate: (path: Path) => Location): KubeObject {
  return {
    apiVersion: textAt(value, ['apiVersion']) ?? '',
    kind: textAt(value, ['kind']) ?? '',
    namespace: textAt(value, ['metadata', 'namespace']) ?? '',
    name: textAt(value, ['metadata', 'name']) ?? '',
    value,
    locate,
  };
}

/** `apps/v1` → `apps`; the core group is empty. */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/');
  return slash === -1 ? '' : apiVersion.slice(0, slash);
}

/** What people call it: `Kind/namespace/name`. */
export function objectName(object: Pick<KubeObject, 'kind' | 'namespace' | 'name'>): string {
  return object.namespace === '' ? `${object.kind}/${object.name}` : `${object.kind}/${object.namespace}/${object.name}`;
}

/** Identity across API versions of one group: group, kind, namespace, name. The group must be converted first. */
export function objectKey(object: Pick<KubeObject, 'apiVersion' | 'kind' | 'namespace' | 'name'>): string {
  return `${groupOf(object.apiVersion)}|${object.kind}|${object.namespace}|${object.name}`;
}
