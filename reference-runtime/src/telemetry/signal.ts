/** The three signals of OpenTelemetry, as the paths of OTLP/HTTP name them. */
export const SIGNALS = ['traces', 'metrics', 'logs'] as const;
export type Signal = (typeof SIGNALS)[number];

/** Why an item did not arrive; a bounded set, it is a label. */
export const DROP_REASONS = ['queue_full', 'retries_exhausted', 'refused', 'invalid', 'partial_success', 'shutdown'] as const;
export type DropReason = (typeof DROP_REASONS)[number];
