import type { Verdict } from '../../core/verdict.ts';

/** Counters of the server in the Prometheus text format; label values are ours alone, so their number is fixed. */
export class ServerMetrics {
  readonly #judged = new Map<string, number>();
  readonly #answers = new Map<number, number>();

  judged(endpoint: string, verdict: Verdict): void {
    const key = `endpoint="${endpoint}",verdict="${verdict}"`;
    this.#judged.set(key, (this.#judged.get(key) ?? 0) + 1);
  }

  answered(status: number): void {
    this.#answers.set(status, (this.#answers.get(status) ?? 0) + 1);
  }

  /** `active`: requests to judge under way; `cases`: those that wait for a thread or are judged in one. */
  text(active: number, cases: number): string {
    return [
      '# HELP mixgate_canary_judgements_total Judgements by endpoint and verdict.',
      '# TYPE mixgate_canary_judgements_total counter',
      ...[...this.#judged].sort().map(([labels, count]) => `mixgate_canary_judgements_total{${labels}} ${count}`),
      '# HELP mixgate_canary_responses_total Answers by HTTP status.',
      '# TYPE mixgate_canary_responses_total counter',
      ...[...this.#answers]
        .sort(([a], [b]) => a - b)
        .map(([code, count]) => `mixgate_canary_responses_total{code="${code}"} ${count}`),
      '# HELP mixgate_canary_judgements_active Judgements under way.',
      '# TYPE mixgate_canary_judgements_active gauge',
      `mixgate_canary_judgements_active ${active}`,
      '# HELP mixgate_canary_cases Cases that wait for a thread or are judged in one.',
      '# TYPE mixgate_canary_cases gauge',
      `mixgate_canary_cases ${cases}`,
      '',
    ].join('\n');
  }
}
