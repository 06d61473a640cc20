/** One decision of the policy, as the decision log and telemetry tell it. */
export interface DecisionEntry {
  decisionId: string;
  timestamp: Date;
  path: string;
  revision: string;
  input: unknown;
  /** As the policy said it; undefined when it had no answer. */
  result: unknown;
  /** The time that the policy was told, in nanoseconds since the epoch, if it asked. */
  clockNs?: number | undefined;
  requestedBy: string;
  evaluationNs: number;
  error?: string | undefined;
  traceId?: string;
  spanId?: string;
  /** What the runtime did with the decision: OPA's `custom` field. */
  custom?: Record<string, unknown> | undefined;
}
