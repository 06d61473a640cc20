// Everything that can go wrong around the server, at once and under load: the engine process is killed again and again, the decision log's
// disk is full, the collector is away, a client never reads, every policy source is gone; then, on a server of its own, what can go wrong with
// certificates and keys. Each accepted request must get an answer and each fault must show in the metrics.
// Usage: node bench/runtime/faults.ts [--kills 20] [--concurrency 8]
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { identityFaults } from './lib/identity-faults.ts';
import { scrape } from './lib/metrics.ts';
import { enginePid, MICRO, startOurs } from './lib/server.ts';

const { values } = parseArgs({
  options: { kills: { type: 'string', default: '20' }, concurrency: { type: 'string', default: '8' } },
});
const kills = Number(values.kills);
const DEADLINE_MS = 10_000;
/** Past the deadline by this much an answer counts as a hang. */
const HANG_MS = DEADLINE_MS + 5000;

const bundle = fileURLToPath(new URL('../../reference-runtime/dev-policy/bundle', import.meta.url));
const archive = join(mkdtempSync(join(tmpdir(), 'mixgate-faults-')), 'bundle.tar.gz');
execFileSync('tar', ['-czf', archive, '-C', bundle, '.manifest', 'data.json', 'policy.wasm']);
const source = createServer((_request, response) => response.end(readFileSync(archive)));
await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));

const peer = await startOurs(
  MICRO,
  { sequences: 4, context: 512 },
  {
    policy: {
      sources: [{ name: 'control-plane', url: `http://127.0.0.1:${(source.address() as AddressInfo).port}/` }],
      pollSeconds: 1,
    },
    limits: { deadlineMs: DEADLINE_MS, stallMs: 1000, queue: 64 },
    telemetry: {
      traces: { endpoint: 'http://127.0.0.1:9', flushMs: 200 },
      otlp: { retryForMs: 2000 },
      decisionLog: { file: '/dev/full' },
    },
  },
);
// From here on no source answers.
source.closeAllConnections();
await new Promise((resolve) => source.close(resolve));

const outcomes = new Map<string, number>();
const count = (outcome: string): unknown => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
let stop = false;

async function ask(stream: boolean, tokens: number): Promise<void> {
  try {
    const response = await fetch(`${peer.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...peer.headers },
      body: JSON.stringify({ prompt: 'The Congress shall', max_tokens: tokens, temperature: 0, stream }),
      signal: AbortSignal.timeout(HANG_MS),
    });
    const text = await response.text();
    if (!stream || response.status !== 200) {
      const code = response.status === 200 ? '' : ` ${(JSON.parse(text) as { error: { code: string } }).error.code}`;
      count(`${response.status}${code}`);
      // A refusal comes at once: asking on without a pause would measure the client.
      if (response.status !== 200) await sleep(20);
    } else if (!text.endsWith('data: [DONE]\n\n')) count('HALF A STREAM');
    else count(text.includes('"error"') ? 'stream ended by an error event' : '200 stream');
  } catch (error) {
    count(error instanceof Error && error.name === 'TimeoutError' ? 'HANG' : `NO ANSWER: ${String(error)}`);
  }
}

async function worker(index: number): Promise<void> {
  for (let round = index; !stop; round++) await ask(round % 2 === 0, 1 + ((round * 37) % 200));
}

const workers = Array.from({ length: Number(values.concurrency) }, (_, index) => worker(index));
for (let kill = 0; kill < kills; kill++) {
  for (let wait = 0; (await fetch(`${peer.url}/readyz`)).status !== 200; wait++) {
    if (wait > 600) throw new Error('the engine did not come back within a minute');
    await sleep(100);
  }
  await sleep(300 + (kill % 5) * 150);
  const pid = enginePid(peer);
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
  await sleep(100);
}
stop = true;
await Promise.all(workers);

/** A client that asks and never reads: scored prompts with alternatives, together more than what the kernel holds for a socket. */
const body = JSON.stringify({
  prompt: 'The Congress shall have power '.repeat(60),
  max_tokens: 1,
  echo: true,
  logprobs: 20,
  stream: true,
});
const silent = connect(Number(new URL(peer.url).port), '127.0.0.1').on('error', () => {});
silent.pause();
const ask20 =
  `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: ${peer.headers['authorization']}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`.repeat(
    20,
  );
// In waves: what waits longer than the deadline is refused and fills nothing.
for (let wait = 0; wait < 60 && (await scrape(peer))('mixgate_slow_readers_total') === 0; wait++) {
  if (wait % 5 === 0) silent.write(ask20);
  await sleep(1000);
}
silent.destroy();
await sleep(1000);
const end = await scrape(peer);
peer.stop();

console.log(`${kills} kills, ${values.concurrency} clients:`);
for (const [outcome, times] of [...outcomes].sort()) console.log(`  ${String(times).padStart(6)}  ${outcome}`);
let met = true;
const bar = (name: string, ok: boolean, detail: string): void => {
  met &&= ok;
  console.log(`  bar: ${name}: ${detail}  ${ok ? 'met' : 'NOT MET'}`);
};
const bad = [...outcomes]
  .filter(([outcome]) => /^(HANG|NO ANSWER|HALF)/.test(outcome))
  .reduce((sum, [, times]) => sum + times, 0);
const all = [...outcomes.values()].reduce((sum, times) => sum + times, 0);
bar('every request answered', bad === 0 && all > 0, `${all - bad} of ${all}`);
bar('every kill seen', end('mixgate_engine_restarts_total') === kills, `${end('mixgate_engine_restarts_total')} restarts`);
bar(
  'full disk seen',
  end('mixgate_decision_log_dropped_total') > 0,
  `${end('mixgate_decision_log_dropped_total')} log lines dropped`,
);
bar(
  'absent collector seen',
  end('mixgate_spans_dropped_total') > 0,
  `${end('mixgate_spans_dropped_total')} requests without spans`,
);
bar('client that never reads seen', end('mixgate_slow_readers_total') > 0, `${end('mixgate_slow_readers_total')} cut`);
const age = end('mixgate_policy_bundle_age_seconds');
bar('lost policy sources seen', end('mixgate_policy_source_up') === 0 && age > 1, `bundle ${age.toFixed(0)} s old, 0 sources up`);
for (const { name, ok, detail } of await identityFaults()) bar(name, ok, detail);
process.exit(met ? 0 : 1);
