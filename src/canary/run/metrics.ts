import type { Direction, Margin, MetricKind } from '../judge/types.ts';

/** What the k6 script measures (`mixgate_<name>`), and how each is judged by default. */
export interface MetricDefinition {
  readonly name: string;
  readonly title: string;
  /** UCUM. */
  readonly unit: string;
  readonly kind: MetricKind;
  readonly direction: Direction;
  readonly margin: Margin;
  /** `arms`: a value per arm and pair. `pair`: one value a pair, compared with the value of identical arms. */
  readonly shape: 'arms' | 'pair';
  /** For `pair`: the value two identical arms give. */
  readonly ideal?: number;
}

export const CANARY_METRICS: readonly MetricDefinition[] = [
  {
    name: 'ttft_ms',
    title: 'time to first token',
    unit: 'ms',
    kind: 'continuous',
    direction: 'lower',
    margin: { relative: 0.2 },
    shape: 'arms',
  },
  {
    name: 'itl_ms',
    title: 'inter-token latency',
    unit: 'ms',
    kind: 'continuous',
    direction: 'lower',
    margin: { relative: 0.2 },
    shape: 'arms',
  },
  {
    name: 'e2e_ms',
    title: 'end-to-end latency',
    unit: 'ms',
    kind: 'continuous',
    direction: 'lower',
    margin: { relative: 0.2 },
    shape: 'arms',
  },
  {
    name: 'queue_ms',
    title: 'queue time',
    unit: 'ms',
    kind: 'continuous',
    direction: 'lower',
    margin: { absolute: 20 },
    shape: 'arms',
  },
  {
    name: 'policy_ms',
    title: 'policy evaluation',
    unit: 'ms',
    kind: 'continuous',
    direction: 'lower',
    margin: { absolute: 1 },
    shape: 'arms',
  },
  {
    name: 'tokens_per_s',
    title: 'tokens per second',
    unit: '{token}/s',
    kind: 'continuous',
    direction: 'higher',
    margin: { relative: 0.2 },
    shape: 'arms',
  },
  {
    name: 'error',
    title: 'error rate',
    unit: '1',
    kind: 'binary',
    direction: 'lower',
    margin: { absolute: 0.02 },
    shape: 'arms',
  },
  {
    name: 'fallback',
    title: 'fallback rate',
    unit: '1',
    kind: 'binary',
    direction: 'lower',
    margin: { absolute: 0.02 },
    shape: 'arms',
  },
  {
    name: 'check',
    title: 'answer checks passed',
    unit: '1',
    kind: 'binary',
    direction: 'higher',
    margin: { absolute: 0.05 },
    shape: 'arms',
  },
  {
    name: 'answer_changed',
    title: 'answers that differ from the baseline',
    unit: '1',
    kind: 'binary',
    direction: 'lower',
    margin: { absolute: 0.2 },
    shape: 'pair',
    ideal: 0,
  },
  {
    name: 'answer_tokens',
    title: 'tokens per answer',
    unit: '{token}',
    kind: 'continuous',
    direction: 'either',
    margin: { relative: 0.25 },
    shape: 'arms',
  },
  {
    name: 'nll',
    title: 'negative log-likelihood per token',
    unit: 'nat/{token}',
    kind: 'continuous',
    direction: 'lower',
    margin: { absolute: 0.05 },
    shape: 'arms',
  },
  {
    name: 'kld',
    title: 'divergence of next-token distributions',
    unit: 'nat/{token}',
    kind: 'continuous',
    direction: 'lower',
    margin: { absolute: 0.05 },
    shape: 'pair',
    ideal: 0,
  },
  {
    name: 'same_top',
    title: 'same most likely token',
    unit: '1',
    kind: 'continuous',
    direction: 'higher',
    margin: { absolute: 0.1 },
    shape: 'pair',
    ideal: 1,
  },
  {
    name: 'rms_dp',
    title: "change of the right token's probability, RMS",
    unit: '1',
    kind: 'continuous',
    direction: 'lower',
    margin: { absolute: 0.05 },
    shape: 'pair',
    ideal: 0,
  },
  {
    name: 'agreement',
    title: 'agreement between samples',
    unit: '1',
    kind: 'continuous',
    direction: 'higher',
    margin: { absolute: 0.1 },
    shape: 'arms',
  },
  {
    name: 'hallucination',
    title: 'hallucination (judge model)',
    unit: '1',
    kind: 'continuous',
    direction: 'lower',
    margin: { absolute: 0.1 },
    shape: 'arms',
  },
  {
    name: 'context_adherence',
    title: 'context adherence (judge model)',
    unit: '1',
    kind: 'continuous',
    direction: 'higher',
    margin: { absolute: 0.1 },
    shape: 'arms',
  },
  {
    name: 'tool_selection',
    title: 'tool-selection quality (judge model)',
    unit: '1',
    kind: 'continuous',
    direction: 'higher',
    margin: { absolute: 0.1 },
    shape: 'arms',
  },
  {
    name: 'action_completion',
    title: 'action completion (judge model)',
    unit: '1',
    kind: 'continuous',
    direction: 'higher',
    margin: { absolute: 0.1 },
    shape: 'arms',
  },
  {
    name: 'cost_per_request',
    title: 'cost per request',
    unit: '{currency}',
    kind: 'continuous',
    direction: 'lower',
    margin: { relative: 0.1 },
    shape: 'arms',
  },
  {
    name: 'cost_per_mtok',
    title: 'cost per million tokens',
    unit: '{currency}',
    kind: 'continuous',
    direction: 'lower',
    margin: { relative: 0.1 },
    shape: 'arms',
  },
];

/** What labels add to a run that is judged again. */
const LABEL_METRICS: readonly MetricDefinition[] = [
  {
    name: 'label_bad',
    title: 'answers labelled bad',
    unit: '1',
    kind: 'binary',
    direction: 'lower',
    margin: { absolute: 0.05 },
    shape: 'arms',
  },
  {
    name: 'label_score',
    title: 'score by labels',
    unit: '1',
    kind: 'continuous',
    direction: 'higher',
    margin: { absolute: 0.1 },
    shape: 'arms',
  },
];

/** The definition of a metric; one that mixgate doesn't measure itself is shown under its own name, without a unit. */
export function metricDefinition(name: string): MetricDefinition {
  return (
    [...CANARY_METRICS, ...LABEL_METRICS].find((metric) => metric.name === name) ?? {
      name,
      title: name,
      unit: '1',
      kind: 'continuous',
      direction: 'lower',
      margin: {},
      shape: 'arms',
    }
  );
}
