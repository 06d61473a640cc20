import type { DefaultsNode, DefaultsRegistry } from './defaults.ts';

/*
 * The defaults that the Gateway API and Inference Extension CRDs declare, so that nobody needs the CRD files at hand.
 * A test compares them with the CRDs; files named in `drift.crds` take their place.
 */

const filters: DefaultsNode = {
  items: {
    properties: {
      cors: { properties: { maxAge: { default: 5 } } },
      requestMirror: {
        properties: {
          backendRef: { properties: { group: { default: '' }, kind: { default: 'Service' } } },
          fraction: { properties: { denominator: { default: 100 } } },
        },
      },
      requestRedirect: { properties: { statusCode: { default: 302 } } },
    },
  },
};

const parentRefs: DefaultsNode = {
  items: { properties: { group: { default: 'gateway.networking.k8s.io' }, kind: { default: 'Gateway' } } },
};

const backendRefs: DefaultsNode = {
  items: { properties: { filters, group: { default: '' }, kind: { default: 'Service' }, weight: { default: 1 } } },
};

const exactType: DefaultsNode = { items: { properties: { type: { default: 'Exact' } } } };

const everyPath = { path: { type: 'PathPrefix', value: '/' } };

const httpRoute: DefaultsNode = {
  properties: {
    spec: {
      properties: {
        parentRefs,
        rules: {
          default: [{ matches: [everyPath] }],
          items: {
            properties: {
              backendRefs,
              filters,
              matches: {
                default: [everyPath],
                items: {
                  properties: {
                    headers: exactType,
                    path: {
                      default: everyPath.path,
                      properties: { type: { default: 'PathPrefix' }, value: { default: '/' } },
                    },
                    queryParams: exactType,
                  },
                },
              },
            },
          },
        },
      },
    },
  },
};

const inferencePool: DefaultsNode = {
  properties: {
    spec: {
      properties: {
        appProtocol: { default: 'http' },
        endpointPickerRef: {
          properties: { failureMode: { default: 'FailClose' }, group: { default: '' }, kind: { default: 'Service' } },
        },
      },
    },
  },
};

export const GATEWAY_DEFAULTS: DefaultsRegistry = new Map([
  ['gateway.networking.k8s.io/v1/HTTPRoute', httpRoute],
  ['inference.networking.k8s.io/v1/InferencePool', inferencePool],
]);
