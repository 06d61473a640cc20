// A decision as the event mixgate.routing.decision over OTLP: the body follows the fleet's schema (examples/fleet/telemetry/events), with
// what the mask erased written as erased.
import type { AttributeValue } from '../telemetry/otlp.ts';
import type { Body, LogRecord } from '../telemetry/otlp-logs.ts';
import type { DecisionEntry } from './decision-entry.ts';

const DATA_CLASSES = new Set(['public', 'internal', 'restricted']);
const MASKED = '_MASKED';
const MAX_LISTED = 16;
const MAX_TEXT = 128;

type Fields = Readonly<Record<string, unknown>>;

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT) : undefined;
}

function targetOf(value: unknown): Body | undefined {
  const { cluster, pool, model, version } = fields(value);
  if (text(cluster) === undefined || text(pool) === undefined) return undefined;
  return { cluster: text(cluster), pool: text(pool), model: text(model), version: text(version) };
}

/** Reason codes only: a policy's free text stays in the decision log. */
function reasonsOf(entry: DecisionEntry, value: unknown): string[] {
  if (entry.error !== undefined) return ['POLICY_ERROR'];
  if (entry.result === undefined) return ['POLICY_UNDEFINED'];
  const reasons: unknown[] = Array.isArray(value) ? value : [];
  return reasons
    .filter((reason): reason is string => typeof reason === 'string' && /^[A-Z][A-Z0-9_]*$/.test(reason))
    .slice(0, MAX_LISTED);
}

/** The record of a decision; `masked` is the entry's event in the decision log: input and result without what is erased. */
export function decisionRecord(entry: DecisionEntry, masked: Fields): LogRecord {
  const request = fields(fields(masked['input'])['request']);
  const erased = new Set(Array.isArray(masked['erased']) ? (masked['erased'] as string[]) : []);
  const isErased = (name: string): boolean => erased.has('/input/request') || erased.has(`/input/request/${name}`);
  const dataClass = text(request['data_class']);
  const result = fields(masked['result']);
  const rule = text(result['rule']);
  const reasons = reasonsOf(entry, result['reasons']);
  const listed: unknown[] = Array.isArray(result['fallbacks']) ? result['fallbacks'] : [];
  const fallbacks = listed.flatMap((item) => targetOf(item) ?? []).slice(0, MAX_LISTED);
  const attributes: Record<string, AttributeValue> = {
    'mixgate.decision.id': entry.decisionId,
    'mixgate.policy.revision': entry.revision,
    ...(rule === undefined ? {} : { 'mixgate.policy.rule': rule }),
  };
  return {
    unixNano: BigInt(entry.timestamp.getTime()) * 1_000_000n,
    severity: entry.error === undefined ? 'INFO' : 'ERROR',
    eventName: 'mixgate.routing.decision',
    body: {
      decision_id: entry.decisionId,
      policy_revision: entry.revision,
      rule,
      allow: fields(entry.result)['allow'] === true,
      request: {
        tenant: text(request['tenant']) || MASKED,
        data_class: isErased('data_class')
          ? MASKED
          : dataClass === undefined
            ? 'unspecified'
            : DATA_CLASSES.has(dataClass)
              ? dataClass
              : '_OTHER',
        origin_region: text(request['origin_region']) ?? (isErased('origin_region') ? MASKED : 'unspecified'),
        model: text(request['model']),
      },
      target: targetOf(result['target']),
      ...(fallbacks.length === 0 ? {} : { fallbacks }),
      ...(reasons.length === 0 ? {} : { reasons }),
    },
    attributes,
    ...(entry.traceId === undefined ? {} : { traceId: entry.traceId }),
    ...(entry.spanId === undefined ? {} : { spanId: entry.spanId }),
  };
}
