// What an inference server says about its own load on its /metrics. Names: vLLM "Production Metrics" (`gpu_cache_usage_perc` until 0.10),
// SGLang "Production Metrics", llama.cpp tools/server README, "GET /metrics" (`kv_cache_usage_ratio` in older builds only).
import { sampleLine } from '../../../src/slo/exposition.ts';

/** The load of one server: requests, and the share of its KV cache in use (0 to 1) where it says so. */
export interface ServerLoad {
  server: 'vLLM' | 'SGLang' | 'llama-server';
  running: number;
  waiting: number;
  kvCache?: number;
}

interface Family {
  server: ServerLoad['server'];
  running: string;
  waiting: string;
  kvCache: readonly string[];
}

const FAMILIES: readonly Family[] = [
  {
    server: 'vLLM',
    running: 'vllm:num_requests_running',
    waiting: 'vllm:num_requests_waiting',
    kvCache: ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'],
  },
  {
    server: 'SGLang',
    running: 'sglang:num_running_reqs',
    waiting: 'sglang:num_queue_reqs',
    kvCache: ['sglang:token_usage'],
  },
  {
    server: 'llama-server',
    running: 'llamacpp:requests_processing',
    waiting: 'llamacpp:requests_deferred',
    kvCache: ['llamacpp:kv_cache_usage_ratio'],
  },
];

const WANTED: ReadonlySet<string> = new Set(FAMILIES.flatMap(({ running, waiting, kvCache }) => [running, waiting, ...kvCache]));

/** Finite and not negative: a gauge that is NaN says nothing. */
function plausible(text: string): number | undefined {
  const value = Number(text);
  return Number.isFinite(value) && value >= 0 ? value : undefined;
}

/**
 * Reads a text of /metrics. Several engines of one server (data parallelism, one series each) are one load: requests are added up, and
 * the KV cache is as full as the fullest. Undefined when there is nothing of a known server in it.
 */
export function serverLoad(exposition: string): ServerLoad | undefined {
  const sums = new Map<string, number>();
  const maxima = new Map<string, number>();
  for (const line of exposition.split('\n')) {
    // Most of such a text is histograms: looked at no closer than its first characters.
    const end = line.search(/[{ \t]/);
    const name = line.slice(0, end);
    if (!WANTED.has(name)) continue;
    const sample = sampleLine(line);
    const value = sample === undefined ? undefined : plausible(sample.value);
    if (value === undefined) continue;
    sums.set(name, (sums.get(name) ?? 0) + value);
    maxima.set(name, Math.max(maxima.get(name) ?? 0, value));
  }
  for (const { server, running, waiting, kvCache } of FAMILIES) {
    const [busy, queued] = [sums.get(running), sums.get(waiting)];
    if (busy === undefined || queued === undefined) continue;
    const used = kvCache.map((name) => maxima.get(name)).filter((value) => value !== undefined);
    return { server, running: busy, waiting: queued, ...(used.length === 0 ? {} : { kvCache: Math.min(1, Math.max(...used)) }) };
  }
  return undefined;
}
