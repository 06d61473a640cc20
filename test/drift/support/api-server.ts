import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import type { Json, JsonObject } from '../../../src/core/json.ts';

// biome-ignore lint/suspicious/noExplicitAny: test data is edited freely
type Mutable = { [key: string]: any };

const LATER = '2026-01-14T09:12:44Z';

/**
 * What an API server gives back for an applied object: defaults of the built-in kinds and of the Gateway API CRDs filled in,
 * metadata, managedFields and status added, keys sorted. Written independently of the product's tables of defaults.
 */
export function asLive(applied: JsonObject): JsonObject {
  const object = structuredClone(applied) as Mutable;
  const uid = createHash('sha256')
    .update(`${object['kind']}/${object['metadata'].namespace}/${object['metadata'].name}`)
    .digest('hex');
  const lastApplied = `${JSON.stringify({ ...object, metadata: { annotations: {}, ...object['metadata'] } })}\n`;
  object['metadata'] = {
    ...object['metadata'],
    annotations: { ...object['metadata'].annotations, 'kubectl.kubernetes.io/last-applied-configuration': lastApplied },
    creationTimestamp: '2026-01-05T10:00:00Z',
    resourceVersion: String(100_000 + Number.parseInt(uid.slice(0, 4), 16)),
    uid: `${uid.slice(0, 8)}-${uid.slice(8, 12)}-4${uid.slice(13, 16)}-a${uid.slice(17, 20)}-${uid.slice(20, 32)}`,
    managedFields: [
      {
        apiVersion: object['apiVersion'],
        fieldsType: 'FieldsV1',
        fieldsV1: { 'f:spec': { '.': {}, 'f:rules': {}, 'f:template': {} }, 'f:data': {} },
        manager: 'kustomize-controller',
        operation: 'Apply',
        time: LATER,
      },
    ],
  };
  if (object['kind'] !== 'ConfigMap') object['metadata'].generation = 4;
  if (object['kind'] === 'Deployment') deployment(object);
  if (object['kind'] === 'HTTPRoute') route(object);
  if (object['kind'] === 'InferencePool') pool(object);
  return sortKeys(object) as JsonObject;
}

function deployment(object: Mutable): void {
  const { spec } = object;
  object['metadata'].annotations['deployment.kubernetes.io/revision'] = '3';
  Object.assign(spec, {
    progressDeadlineSeconds: 600,
    revisionHistoryLimit: 10,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
  });
  spec.replicas ??= 1;
  spec.template.metadata.creationTimestamp = null;
  const pod = spec.template.spec;
  Object.assign(pod, {
    dnsPolicy: 'ClusterFirst',
    restartPolicy: 'Always',
    schedulerName: 'default-scheduler',
    securityContext: {},
    terminationGracePeriodSeconds: 30,
  });
  for (const container of pod.containers) {
    container.imagePullPolicy = 'IfNotPresent';
    container.terminationMessagePath = '/dev/termination-log';
    container.terminationMessagePolicy = 'File';
    for (const port of container.ports ?? []) port.protocol = 'TCP';
    if (container.readinessProbe) {
      Object.assign(container.readinessProbe, { failureThreshold: 3, periodSeconds: 10, successThreshold: 1, timeoutSeconds: 1 });
      container.readinessProbe.httpGet.scheme = 'HTTP';
    }
    if (container.resources?.limits)
      container.resources.requests = { ...container.resources.limits, ...container.resources.requests };
  }
  object['status'] = {
    availableReplicas: spec.replicas,
    observedGeneration: 4,
    readyReplicas: spec.replicas,
    replicas: spec.replicas,
    updatedReplicas: spec.replicas,
  };
}

function route(object: Mutable): void {
  for (const parent of object['spec'].parentRefs ?? []) {
    parent.group = 'gateway.networking.k8s.io';
    parent.kind = 'Gateway';
  }
  for (const rule of object['spec'].rules ?? []) {
    for (const match of rule.matches ?? []) {
      match.path ??= { type: 'PathPrefix', value: '/' };
      for (const header of match.headers ?? []) header.type ??= 'Exact';
    }
    for (const backend of rule.backendRefs ?? []) backend.weight ??= 1;
  }
  object['status'] = {
    parents: [
      {
        conditions: [
          {
            lastTransitionTime: '2026-01-05T10:00:03Z',
            message: '',
            observedGeneration: 4,
            reason: 'Accepted',
            status: 'True',
            type: 'Accepted',
          },
        ],
        controllerName: 'example.com/gateway-controller',
        parentRef: { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'llm-gateway' },
      },
    ],
  };
}

function pool(object: Mutable): void {
  object['spec'].appProtocol = 'http';
  object['spec'].endpointPickerRef = { failureMode: 'FailClose', kind: 'Service', ...object['spec'].endpointPickerRef };
  object['status'] = { parents: [{ conditions: [], parentRef: { kind: 'Gateway', name: 'llm-gateway' } }] };
}

function sortKeys(value: Json): Json {
  if (Array.isArray(value)) return value.map((item) => sortKeys(item as Json));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value as JsonObject)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => [key, sortKeys(member)]),
  );
}

export interface SnapshotOptions {
  readonly cluster?: string;
  readonly capturedAt?: string;
  /** Revision of the policy bundle; absent: no policy engine in the snapshot. */
  readonly revision?: string;
  readonly status?: JsonObject;
}

/** A snapshot file: the header document with the capture time and the policy engine's status, then the List of kubectl. */
export function snapshotText(objects: readonly JsonObject[], options: SnapshotOptions = {}): string {
  const time = options.capturedAt;
  const header = {
    apiVersion: 'mixgate.dev/v1',
    kind: 'ClusterSnapshot',
    ...(options.cluster === undefined ? {} : { cluster: options.cluster }),
    ...(time === undefined ? {} : { capturedAt: time }),
    ...(options.revision === undefined
      ? {}
      : {
          policyEngines: [
            {
              instance: 'opa-0',
              status: {
                result: {
                  labels: { id: `opa-0.${options.cluster}`, version: '1.21.1' },
                  bundles: {
                    routing: {
                      name: 'routing',
                      active_revision: options.revision,
                      last_successful_activation: '2026-01-14T09:13:02Z',
                      last_successful_download: '2026-01-14T09:13:02Z',
                      last_successful_request: time,
                      type: 'snapshot',
                      ...options.status,
                    },
                  },
                  plugins: { bundle: { state: 'OK' } },
                },
              },
            },
          ],
        }),
  };
  const list = { apiVersion: 'v1', items: objects, kind: 'List', metadata: { resourceVersion: '' } };
  return `${stringify(header)}---\n${stringify(list, { lineWidth: 0 })}`;
}
