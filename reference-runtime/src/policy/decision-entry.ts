/** One decision of the policy, as the decision log and telemetry tell it. */
export interface DecisionEntry {
  decisionId: string;
  timestamp: Date;
  path: string;
  revision: string;
  input: unknown;
  result: unknown;
  requestedBy: string;
  evaluationNs: number;
  error?: string | undefined;
  traceId?: string;
  spanId?: string;
  /** What the runtime did with the decision: OPA's `custom` field. */
  custom?: Record<string, unknown> | undefined;
}
