import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { JsonObject } from '../../src/core/json.ts';
import { GATEWAY_DEFAULTS } from '../../src/kubernetes/gateway-defaults.ts';
import { type NormalisedObject, normalise } from '../../src/kubernetes/normalise.ts';
import { kubeObject } from '../../src/kubernetes/object.ts';
import { ROOT } from '../support/cli.ts';

/** Real objects and CRDs of public projects, beside the repository; tests that read them say so when they are skipped. */
export const SHARED_DATA = process.env['MIXGATE_SHARED_DATA'] ?? join(ROOT, '../shared/data');
export const HAS_SHARED_DATA = existsSync(join(SHARED_DATA, 'k8s/live'));

export const OPTIONS = { defaults: GATEWAY_DEFAULTS, maskKey: Buffer.from('test key') };

export function object(value: JsonObject, file = 'x.yaml'): NormalisedObject {
  return normalise(
    kubeObject(value, () => ({ file, line: 1 })),
    OPTIONS,
  );
}

export interface Ref {
  readonly name: string;
  readonly weight?: number;
}

export function route(backendRefs: readonly Ref[], extra: JsonObject = {}): JsonObject {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'r', namespace: 'llm' },
    spec: { parentRefs: [{ name: 'gw' }], rules: [{ backendRefs: backendRefs as unknown as JsonObject[], ...extra }] },
  };
}
