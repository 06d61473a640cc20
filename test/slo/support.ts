/** An OpenSLO SLO over `requests_total`, with any part replaced. */
export interface SloParts {
  readonly name?: string;
  readonly target?: string;
  readonly duration?: string;
  readonly good?: string;
  readonly total?: string;
  readonly objective?: string;
  readonly method?: string;
  readonly policies?: string;
  readonly window?: string;
}

export function slo(parts: SloParts = {}): string {
  return `apiVersion: openslo/v1
kind: SLO
metadata:
  name: ${parts.name ?? 'checkout'}
spec:
  service: shop
  indicator:
    metadata:
      name: success
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Prometheus
            spec:
              query: ${parts.good ?? 'sum(requests_total{code!~"5.."})'}
        total:
          metricSource:
            type: Prometheus
            spec:
              query: ${parts.total ?? 'sum(requests_total)'}
  timeWindow:
    - ${parts.window ?? `duration: ${parts.duration ?? '28d'}\n      isRolling: true`}
  budgetingMethod: ${parts.method ?? 'Occurrences'}
  objectives:
    - ${parts.objective ?? `target: ${parts.target ?? '0.99'}`}
${parts.policies === undefined ? '' : `  alertPolicies:\n${parts.policies}\n`}`;
}

/** An inline alert policy. */
export function policy(
  parts: {
    op?: string;
    threshold?: number;
    window?: string;
    severity?: string;
    after?: string;
    annotations?: Readonly<Record<string, string>>;
  } = {},
): string {
  const annotations = Object.entries(parts.annotations ?? {}).map(([key, value]) => `\n                ${key}: ${value}`);
  return `    - kind: AlertPolicy
      metadata:
        name: burn
      spec:
        conditions:
          - kind: AlertCondition
            metadata:
              name: burn${annotations.length === 0 ? '' : `\n              annotations:${annotations.join('')}`}
            spec:
              severity: ${parts.severity ?? 'page'}
              condition:
                kind: burnrate
                op: ${parts.op ?? 'gt'}
                threshold: ${parts.threshold ?? 5}
                lookbackWindow: ${parts.window ?? '1h'}
                alertAfter: ${parts.after ?? '0m'}`;
}

export const START = Date.parse('2026-03-01T00:00:00Z');

/** Counters requests_total{code="200"|"500"} every `step` s; `rate(minute)` gives good and bad events a minute. */
export function traffic(
  minutes: number,
  rate: (minute: number) => readonly [good: number, bad: number],
  options: { step?: number; labels?: string } = {},
): string {
  const step = options.step ?? 60;
  const labels = options.labels === undefined ? '' : `,${options.labels}`;
  const lines: string[] = [];
  let [good, bad] = [0, 0];
  for (let at = 0; at <= minutes * 60; at += step) {
    const time = START + at * 1000;
    lines.push(`requests_total{code="200"${labels}} ${good} ${time}`, `requests_total{code="500"${labels}} ${bad} ${time}`);
    const [g, b] = rate(Math.floor(at / 60));
    good += (g * step) / 60;
    bad += (b * step) / 60;
  }
  return `${lines.join('\n')}\n`;
}
