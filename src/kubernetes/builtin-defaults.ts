import { isObject, type Json, type JsonObject } from '../core/json.ts';
import type { DefaultsNode } from './defaults.ts';
import { applyDefaults } from './defaults.ts';
import { parseImage } from './image.ts';
import { isList, textAt } from './path.ts';

/*
 * Defaults of built-in kinds. They aren't in a CRD: they are code in Kubernetes (pkg/apis/core/v1/defaults.go and
 * pkg/apis/apps/v1/defaults.go, release 1.35), written down here for the kinds that serve models.
 */

const httpGet: DefaultsNode = { properties: { path: { default: '/' }, scheme: { default: 'HTTP' } } };
const probe: DefaultsNode = {
  properties: {
    httpGet,
    grpc: { properties: { service: { default: '' } } },
    timeoutSeconds: { default: 1 },
    periodSeconds: { default: 10 },
    successThreshold: { default: 1 },
    failureThreshold: { default: 3 },
  },
};
const fieldRef: DefaultsNode = { properties: { apiVersion: { default: 'v1' } } };
const containers: DefaultsNode = {
  items: {
    properties: {
      ports: { items: { properties: { protocol: { default: 'TCP' } } } },
      env: { items: { properties: { valueFrom: { properties: { fieldRef } } } } },
      livenessProbe: probe,
      readinessProbe: probe,
      startupProbe: probe,
      lifecycle: { properties: { postStart: { properties: { httpGet } }, preStop: { properties: { httpGet } } } },
      terminationMessagePath: { default: '/dev/termination-log' },
      terminationMessagePolicy: { default: 'File' },
    },
  },
};
const mode420: DefaultsNode = { properties: { defaultMode: { default: 420 } } };
const podTemplate: DefaultsNode = {
  properties: {
    spec: {
      properties: {
        containers,
        initContainers: containers,
        restartPolicy: { default: 'Always' },
        dnsPolicy: { default: 'ClusterFirst' },
        schedulerName: { default: 'default-scheduler' },
        terminationGracePeriodSeconds: { default: 30 },
        volumes: {
          items: {
            properties: {
              configMap: mode420,
              secret: mode420,
              downwardAPI: { properties: { defaultMode: { default: 420 }, items: { items: { properties: { fieldRef } } } } },
              projected: {
                properties: {
                  defaultMode: { default: 420 },
                  sources: {
                    items: { properties: { serviceAccountToken: { properties: { expirationSeconds: { default: 3600 } } } } },
                  },
                },
              },
              hostPath: { properties: { type: { default: '' } } },
            },
          },
        },
      },
    },
  },
};

const deployment: DefaultsNode = {
  properties: {
    spec: {
      properties: {
        replicas: { default: 1 },
        revisionHistoryLimit: { default: 10 },
        progressDeadlineSeconds: { default: 600 },
        strategy: { default: {}, properties: { type: { default: 'RollingUpdate' } } },
        template: podTemplate,
      },
    },
  },
};

const statefulSet: DefaultsNode = {
  properties: {
    spec: {
      properties: {
        replicas: { default: 1 },
        revisionHistoryLimit: { default: 10 },
        podManagementPolicy: { default: 'OrderedReady' },
        updateStrategy: { default: {}, properties: { type: { default: 'RollingUpdate' } } },
        persistentVolumeClaimRetentionPolicy: {
          default: {},
          properties: { whenDeleted: { default: 'Retain' }, whenScaled: { default: 'Retain' } },
        },
        template: podTemplate,
        volumeClaimTemplates: {
          items: {
            properties: {
              apiVersion: { default: 'v1' },
              kind: { default: 'PersistentVolumeClaim' },
              spec: { properties: { volumeMode: { default: 'Filesystem' } } },
            },
          },
        },
      },
    },
  },
};

const daemonSet: DefaultsNode = {
  properties: {
    spec: {
      properties: {
        revisionHistoryLimit: { default: 10 },
        updateStrategy: { default: {}, properties: { type: { default: 'RollingUpdate' } } },
        template: podTemplate,
      },
    },
  },
};

const service: DefaultsNode = {
  properties: {
    spec: {
      properties: {
        type: { default: 'ClusterIP' },
        sessionAffinity: { default: 'None' },
        internalTrafficPolicy: { default: 'Cluster' },
        ports: { items: { properties: { protocol: { default: 'TCP' } } } },
      },
    },
  },
};

const BUILTIN: { readonly [groupKind: string]: DefaultsNode } = {
  'apps/Deployment': deployment,
  'apps/StatefulSet': statefulSet,
  'apps/DaemonSet': daemonSet,
  '/Service': service,
};

/** Whether mixgate knows every default of this kind, so that a field which only live has means something. */
export function hasBuiltinDefaults(group: string, kind: string): boolean {
  return `${group}/${kind}` in BUILTIN || DATA_KINDS.has(`${group}/${kind}`);
}
const DATA_KINDS = new Set(['/ConfigMap', '/Secret']);

export function applyBuiltinDefaults(group: string, kind: string, value: JsonObject): JsonObject {
  const node = BUILTIN[`${group}/${kind}`];
  if (node === undefined) return value;
  const filled = applyDefaults(value, node) as JsonObject;
  const spec = filled['spec'];
  if (!isObject(spec)) return filled;
  return { ...filled, spec: kind === 'Service' ? serviceSpec(spec) : workloadSpec(kind, spec) };
}

function serviceSpec(spec: JsonObject): JsonObject {
  const ports = isList(spec['ports'])
    ? spec['ports'].map((port) =>
        isObject(port) && port['targetPort'] === undefined && port['port'] !== undefined
          ? { ...port, targetPort: port['port'] }
          : port,
      )
    : undefined;
  // Given by the server, unless somebody asked for a headless service.
  const { clusterIP, clusterIPs: _ips, ipFamilies: _families, ipFamilyPolicy: _policy, ...rest } = spec;
  return { ...rest, ...(clusterIP === 'None' ? { clusterIP } : {}), ...(ports === undefined ? {} : { ports }) };
}

const ROLLING: { readonly [kind: string]: readonly [key: string, values: JsonObject] } = {
  Deployment: ['strategy', { maxSurge: '25%', maxUnavailable: '25%' }],
  StatefulSet: ['updateStrategy', { partition: 0 }],
  DaemonSet: ['updateStrategy', { maxSurge: 0, maxUnavailable: 1 }],
};

function workloadSpec(kind: string, spec: JsonObject): JsonObject {
  const result: Record<string, Json> = { ...spec };
  const [key, values] = ROLLING[kind]!;
  const strategy = result[key];
  if (isObject(strategy) && strategy['type'] === 'RollingUpdate') {
    const rolling = isObject(strategy['rollingUpdate']) ? strategy['rollingUpdate'] : {};
    result[key] = { ...strategy, rollingUpdate: { ...values, ...rolling } };
  }
  const template = result['template'];
  const pod = isObject(template) ? template['spec'] : undefined;
  if (isObject(template) && isObject(pod)) result['template'] = { ...template, spec: podSpec(pod) };
  return result;
}

function podSpec(pod: JsonObject): JsonObject {
  const result: Record<string, Json> = { ...pod };
  for (const key of ['containers', 'initContainers']) {
    const list = result[key];
    if (isList(list)) result[key] = list.map((item) => (isObject(item) ? container(item) : item));
  }
  // `serviceAccount` is the deprecated name; the server writes both.
  if (result['serviceAccountName'] === undefined && result['serviceAccount'] !== undefined)
    result['serviceAccountName'] = result['serviceAccount'];
  delete result['serviceAccount'];
  return result;
}

function container(value: JsonObject): JsonObject {
  const result: Record<string, Json> = { ...value };
  const image = textAt(value, ['image']);
  if (result['imagePullPolicy'] === undefined && image !== undefined) {
    const { tag, digest } = parseImage(image);
    result['imagePullPolicy'] = digest === undefined && (tag === undefined || tag === 'latest') ? 'Always' : 'IfNotPresent';
  }
  const resources = result['resources'];
  if (isObject(resources) && isObject(resources['limits'])) {
    // A limit without a request is also the request (SetDefaults_Pod).
    const requests = isObject(resources['requests']) ? resources['requests'] : {};
    result['resources'] = { ...resources, requests: { ...resources['limits'], ...requests } };
  }
  return result;
}
