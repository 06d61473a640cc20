// What is read rather than counted: brought up to date before every scrape of /metrics and every export over OTLP.
import { availableMemory, memoryLimit } from '../gguf/memory.ts';
import { governanceState } from './governance.ts';
import type { Runtime } from './runtime.ts';

/** Reads engine, admission, policy, upstream servers and certificate into the metrics. */
export function refreshMetrics(runtime: Runtime): void {
  const { metrics, certificate, policy } = runtime;
  for (const [pool, { engine }] of runtime.reachable) metrics.upstream(pool, engine.stats().upstream);
  for (const [pool, watch] of runtime.loads) metrics.upstreamLoad(pool, watch.load(), watch.ageMs() / 1000, watch.failures);
  metrics.sync(runtime.local.stats(), runtime.admission.waiting);
  memory(runtime);
  if (certificate !== undefined) metrics.instruments.certificateExpiry.set(certificate.expires.getTime() / 1000);
  metrics.governance.sync(governanceState(runtime));
  runtime.telemetry.refresh();
  metrics.policy(policy.ageSeconds(new Date()), policy.sources);
}

/** The machine's memory and the GPU's, and what the loaded model was planned to take of each. */
function memory({ metrics, local, info }: Runtime): void {
  const { vram, state } = local.stats();
  const plan = state === 'ready' ? info.memory : undefined;
  const limit = memoryLimit();
  metrics.memory('ram', { used: Math.max(0, limit - availableMemory()), limit }, plan?.ram.total);
  metrics.memory('vram', vram === undefined ? undefined : { used: vram.usedBytes, limit: vram.totalBytes }, plan?.vram?.total);
}
