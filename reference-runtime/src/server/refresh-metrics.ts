// What is read rather than counted: brought up to date before every scrape of /metrics and every export over OTLP.
import { governanceState } from './governance.ts';
import type { Runtime } from './runtime.ts';

/** Reads engine, admission, policy, upstream servers and certificate into the metrics. */
export function refreshMetrics(runtime: Runtime): void {
  const { metrics, certificate, policy } = runtime;
  for (const [pool, { engine }] of runtime.reachable) metrics.upstream(pool, engine.stats().upstream);
  metrics.sync(runtime.local.stats(), runtime.admission.waiting);
  if (certificate !== undefined) metrics.instruments.certificateExpiry.set(certificate.expires.getTime() / 1000);
  metrics.governance.sync(governanceState(runtime));
  runtime.telemetry.refresh();
  metrics.policy(policy.ageSeconds(new Date()), policy.sources);
}
