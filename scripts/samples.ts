import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mulberry32, type Uniform } from '../reference-runtime/src/gguf/random.ts';

/*
 * The sample files of the README's examples, drawn from a fixed seed: node scripts/samples.ts writes them to examples/samples.
 * They show formats and answers. Nothing in them was measured.
 */

/** A latency: log-normal by the sum of twelve uniform numbers, so that no logarithm's last bit depends on the machine. */
function latency(draw: Uniform, median: number): number {
  const normal = Array.from({ length: 12 }, draw).reduce((sum, value) => sum + value, -6);
  return Number((median * 1.25 ** normal).toFixed(1));
}

const SEGMENTS = ['code', 'de', 'en'] as const;
const PAIRS = 120;

/** The same prompts, one arm a file: the candidate takes a quarter longer to its first token in German and nowhere else. */
function arm(slower: number): string {
  const prompt = mulberry32(1);
  const noise = mulberry32(slower === 1 ? 2 : 3);
  const rows = Array.from({ length: PAIRS }, (_, pair) => {
    const segment = SEGMENTS[pair % SEGMENTS.length]!;
    const value = latency(prompt, 100) * (latency(noise, 100) / 100) ** 0.5 * (segment === 'de' ? slower : 1);
    return `ttft_ms,${value.toFixed(1)},${segment},${pair + 1}`;
  });
  return `metric,value,segment,pair\n${rows.join('\n')}\n`;
}

/** Two cases of a batch: one whose candidate fails more often, one of counts that are alike. */
function cases(): string {
  const draw = mulberry32(4);
  const share = (count: number, p: number): number[] => Array.from({ length: count }, () => (draw() < p ? 1 : 0));
  const counts = (): number[] => Array.from({ length: 40 }, () => Math.round(latency(draw, 20)));
  const lines = [
    {
      id: 'errors',
      design: 'unpaired',
      metrics: [
        {
          name: 'error',
          kind: 'binary',
          direction: 'lower',
          margin: { absolute: 0.02 },
          baseline: share(400, 0.01),
          candidate: share(400, 0.12),
        },
      ],
    },
    {
      id: 'tokens',
      design: 'unpaired',
      metrics: [
        {
          name: 'output_tokens',
          kind: 'count',
          direction: 'either',
          margin: { relative: 0.25 },
          baseline: counts(),
          candidate: counts(),
        },
      ],
    },
  ];
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

const TOTAL = 'gen_ai_server_request_duration_seconds_count';
const FAST = 'gen_ai_server_time_to_first_token_seconds_bucket';

/** Two scrapes of a canary's /metrics, 43 s apart. */
function scrapes(): string {
  const at = (time: number, answered: number, quick: number): string =>
    [
      `# scrape ${time}`,
      `${TOTAL}{gen_ai_operation_name="chat",role="candidate"} ${answered}`,
      `${FAST}{gen_ai_operation_name="chat",le="2.5",role="candidate"} ${quick}`,
      `${FAST}{gen_ai_operation_name="chat",le="+Inf",role="candidate"} ${answered}`,
      '',
    ].join('\n');
  return at(1768460400, 0, 0) + at(1768460443, 124, 123);
}

/** Eight hours of counters, a scrape a minute; from 03:00 to 03:40 three of ten requests fail. */
function night(): string {
  const draw = mulberry32(5);
  const start = Date.parse('2026-01-15T00:00:00Z');
  let [good, bad, quick] = [0, 0, 0];
  const lines: string[] = [];
  for (let minute = 0; minute <= 8 * 60; minute++) {
    const failing = minute >= 180 && minute < 220 ? 0.3 : 0.001;
    for (let request = 0; minute > 0 && request < 60; request++) {
      if (draw() < failing) bad += 1;
      else {
        good += 1;
        if (draw() > 0.002) quick += 1;
      }
    }
    const time = (start + minute * 60_000) / 1000;
    const sample = (metric: string, labels: object, value: number): void => {
      lines.push(JSON.stringify({ time, metric, labels: { gen_ai_operation_name: 'chat', ...labels }, value }));
    };
    sample(TOTAL, {}, good);
    sample(TOTAL, { error_type: 'engine_unavailable' }, bad);
    sample(FAST, { le: '2.5' }, quick);
  }
  return `${lines.join('\n')}\n`;
}

const INCIDENTS = `# What really happened, for \`mixgate slo backtest --incidents\`.
incidents:
  - name: engines of eu-west lost their GPU
    start: 2026-01-15T03:00:00Z
    end: 2026-01-15T03:40:00Z
`;

/** File name → content, in examples/samples. */
export function sampleFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['baseline.csv', arm(1)],
    ['candidate.csv', arm(1.25)],
    ['cases.ndjson', cases()],
    ['metrics.prom', scrapes()],
    ['night.ndjson', night()],
    ['incidents.yaml', INCIDENTS],
  ]);
}

if (import.meta.main) {
  const dir = join(import.meta.dirname, '../examples/samples');
  mkdirSync(dir, { recursive: true });
  for (const [name, content] of sampleFiles()) writeFileSync(join(dir, name), content);
}
