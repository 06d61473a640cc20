import { describe, expect, it } from 'vitest';
import { analyseCanary } from '../../../src/canary/run/analyse.ts';
import { expertEffects } from '../../../src/canary/run/experts.ts';
import { type CanaryPoint, parsePoints } from '../../../src/canary/run/points.ts';
import type { CanaryProfileDocument } from '../../../src/generated/schemas.ts';
import { createRng } from '../../../src/stats/rng.ts';

const SEGMENTS = ['code', 'de', 'en'];
const PAIRS = 90;

interface World {
  /** Added to the candidate's nll in a segment, nats per token. */
  readonly nll?: { readonly [segment: string]: number };
  /** Factor on the candidate's latency; and on the second baseline of the A/A block. */
  readonly latency?: number;
  readonly noise?: number;
  /** Expert of layer 1 whose tokens suffer, by how much. */
  readonly expert?: { readonly id: number; readonly by: number };
  readonly tokenizer?: boolean;
  readonly errors?: number;
  readonly routed?: boolean;
}

/** Samples as the k6 script would write them, from a seeded world. */
function samples(world: World, seed = 5): CanaryPoint[] {
  const rng = createRng(seed);
  const points: CanaryPoint[] = [];
  const add = (metric: string, value: number, pair: number, tags: Record<string, string>): void => {
    points.push({ metric, value, pair, prompt: `p${pair}`, tags });
  };
  for (let pair = 0; pair < 20 + PAIRS; pair += 1) {
    const block = pair < 20 ? 'aa' : 'ab';
    const segment = SEGMENTS[pair % 3]!;
    const difficulty = 3 + 0.5 * rng.normal();
    const speed = 100 * Math.exp(0.1 * rng.normal());
    for (const arm of ['baseline', 'candidate']) {
      const second = arm === 'candidate';
      const harm = second && block === 'ab' ? (world.nll?.[segment] ?? 0) : 0;
      const slow = second ? (block === 'ab' ? (world.latency ?? 1) : (world.noise ?? 1)) : 1;
      const tags = { arm, block, segment };
      add('error', second && block === 'ab' && rng.uniform() < (world.errors ?? 0) ? 1 : 0, pair, tags);
      add('e2e_ms', speed * slow * Math.exp(0.03 * rng.normal()), pair, tags);
      add('nll', difficulty + harm + 0.001 * rng.normal(), pair, tags);
      for (let expert = 0; expert < 4; expert += 1) {
        const count = world.routed === true && second && block === 'ab' && expert === 2 ? 14 : 8;
        add('expert_slots', count + rng.int(3), pair, { ...tags, layer: '1', expert: String(expert) });
      }
    }
    add('token_mismatch', block === 'ab' && world.tokenizer === true ? 1 : 0, pair, { arm: 'pair', block, segment });
    // Experts of the two layers go together for most tokens, as they do for the tokens of one language.
    const words: string[] = [];
    let total = 0;
    for (let token = 0; token < 40; token += 1) {
      const id = rng.int(4);
      const other = rng.uniform() < 0.8 ? id : rng.int(4);
      const change = (block === 'ab' && other === world.expert?.id ? world.expert.by : 0) + 0.01 * rng.normal();
      words.push(`${change.toFixed(4)}:${id}+${(id + 1) % 4},${other}`);
      total += change;
    }
    points.push({
      metric: 'token_dnll',
      value: total / 40,
      pair,
      prompt: `p${pair}`,
      tags: { arm: 'pair', block, segment },
      tokens: words.join(' '),
    });
  }
  return points;
}

const PROFILE: CanaryProfileDocument = {
  version: 1,
  pairs: PAIRS,
  aaPairs: 20,
  metrics: [
    { name: 'e2e_ms', margin: { relative: 0.1 } },
    { name: 'nll', margin: { absolute: 0.05 }, bySegment: true },
    { name: 'error', margin: { absolute: 0.02 }, required: false },
  ],
};
const reshaped = (change: (point: CanaryPoint) => CanaryPoint): Pick<Parameters<typeof analyseCanary>[0], 'samples'> => ({
  samples: { points: samples({}).map(change), droppedIterations: 0, badLines: 0 },
});
/** A share of the pairs starts this many milliseconds late. */
const lagging = (share: number, ms: number): Pick<Parameters<typeof analyseCanary>[0], 'samples'> => {
  const points = samples({});
  for (let pair = 20; pair < 20 + PAIRS; pair += 1) {
    const value = (pair * 0.37) % 1 < share ? ms : 0;
    points.push({ metric: 'generator_lag_ms', value, pair, prompt: `p${pair}`, tags: { arm: 'generator', block: 'ab' } });
  }
  return { samples: { points, droppedIterations: 0, badLines: 0 } };
};
const analyse = (world: World, more: Partial<Parameters<typeof analyseCanary>[0]> = {}) =>
  analyseCanary({
    samples: { points: samples(world), droppedIterations: 0, badLines: 0 },
    profile: PROFILE,
    profileFile: 'canary/profile.yaml',
    seed: 1,
    ...more,
  });

describe('analyseCanary', () => {
  it('passes a candidate that is no different', () => {
    const result = analyse({});
    expect(result).toMatchObject({ id: 'canary', verdict: 'pass', findings: [] });
    expect(result.reason).toBe('3 metrics and 3 segments are within their margins.');
  });

  it('fails a candidate that is worse in one segment while the average hardly moves, and names the expert', () => {
    const result = analyse({ nll: { de: 0.12 }, expert: { id: 2, by: 0.5 } });
    expect(result.verdict).toBe('fail');
    const regressed = result.findings.filter((f) => f.ruleId === 'canary-metric-regressed' && f.blocking);
    // One segment of three is a tail of the whole.
    expect(regressed.map((f) => f.subject)).toEqual(['de', 'nll']);
    expect(regressed[1]!.message).toMatch(/^Negative log-likelihood per token is worse in its tail: p9[59] /);
    expect(regressed[0]!.message).toMatch(
      /^Negative log-likelihood per token in segment de is worse: \+0\.1\d* nat\/token \[.*\], perplexity \+1\d\.\d %; margin 0\.05 nat\/token\.$/,
    );
    expect(result.findings.find((f) => f.ruleId === 'canary-expert-degraded')).toMatchObject({
      subject: 'layer 1 expert 2',
      evidence: { layer: 1, expert: 2, segments: ['de'] },
    });
  });

  it('fails a slower candidate', () => {
    expect(analyse({ latency: 1.25 })).toMatchObject({
      verdict: 'fail',
      findings: [{ ruleId: 'canary-metric-regressed', subject: 'e2e_ms' }],
    });
  });

  it('fails a candidate that returns errors', () => {
    expect(analyse({ errors: 0.2 }).findings.map((f) => f.subject)).toContain('error');
  });

  it('only warns about routing drift without harm', () => {
    expect(analyse({ routed: true })).toMatchObject({
      verdict: 'warn',
      findings: [{ ruleId: 'canary-routing-drift', blocking: false }],
    });
  });

  it('explains harm by routing that drifted in the same segment, and only there', () => {
    const result = analyse({ routed: true, nll: { de: 0.16 } });
    expect(result.verdict).toBe('fail');
    const [text] = result.facts!['explained'] as string[];
    expect(text).toMatch(/^segment de: perplexity \+1\d\.\d %, layer 1 expert 2$/);
    const message = (ruleId: string, subject?: string): string | undefined =>
      result.findings.find((f) => f.ruleId === ruleId && (subject === undefined || f.subject === subject))?.message;
    expect(message('canary-routing-drift')).toContain(`It goes with harm: ${text}`);
    expect(message('canary-metric-regressed', 'de')).toMatch(/ Routing drifted in the same prompts, most at layer 1 expert 2\.$/);
    expect(analyse({ nll: { de: 0.16 } }).facts).not.toHaveProperty('explained');
    expect(analyse({ routed: true, errors: 0.2 }).facts).not.toHaveProperty('explained');
  });

  it('explains a slower candidate by the routing of all prompts', () => {
    const result = analyse({ routed: true, latency: 1.25 });
    expect(result.facts!['explained']).toEqual([
      expect.stringMatching(/^all prompts: end-to-end latency \+2\d\.\d %, layer 1 expert 2$/),
    ]);
  });

  it('refuses to compare two tokenizers', () => {
    expect(analyse({ tokenizer: true })).toMatchObject({ verdict: 'fail', findings: [{ ruleId: 'canary-tokenizer-changed' }] });
  });

  it('is inconclusive, not failed, when the baseline differs from itself', () => {
    const result = analyse({ noise: 1.4, latency: 1.4 });
    expect(result.verdict).toBe('inconclusive');
    expect(result.reason).toMatch(/^The baseline differs from itself in end-to-end latency/);
    expect(result.findings.every((f) => !f.blocking)).toBe(true);
  });

  it.each([
    [
      'k6 was killed',
      { aborted: 'k6 ended with 105 (stopped from outside)' },
      /^The load generator did not finish: k6 ended with 105/,
    ],
    [
      'iterations were dropped',
      { samples: { points: samples({}), droppedIterations: 3, badLines: 0 } },
      /could not start 3 iterations/,
    ],
    [
      'pairs are missing',
      { samples: { points: samples({}).filter((p) => p.pair < 60), droppedIterations: 0, badLines: 0 } },
      /^Only 40 of 90 planned pairs were sent/,
    ],
    [
      'the candidate was sent fewer requests',
      {
        samples: {
          points: samples({}).filter((p) => p.pair < 100 || p.tags['arm'] !== 'candidate'),
          droppedIterations: 0,
          badLines: 0,
        },
      },
      /^The arms were not offered the same load: 90 requests to the baseline, 80 to the candidate/,
    ],
    ['one request in ten left late', lagging(1, 180), /^The load generator was saturated: .* sent 180 ms late .* against \d+ ms/],
    [
      'the baseline slows down by more than 2 during the run',
      reshaped((p) => (p.metric === 'e2e_ms' ? { ...p, value: p.value * (1 + p.pair / 30) } : p)),
      /^The baseline itself became \d\.\d times slower during the run/,
    ],
    [
      'the A/A block is wilder than the margins can bear',
      reshaped((p) =>
        p.metric === 'e2e_ms' && p.tags['block'] === 'aa' && p.tags['arm'] === 'candidate'
          ? { ...p, value: p.value * (p.pair % 2 === 0 ? 8 : 1 / 8) }
          : p,
      ),
      /^The baseline against itself is so unsteady in end-to-end latency that 90 pairs could only show/,
    ],
    ['there are no samples at all', { samples: { points: [], droppedIterations: 0, badLines: 0 } }, /^Only 0 of 90/],
  ])('is inconclusive when %s', (_, more, reason) => {
    const result = analyse({}, more);
    expect(result.verdict).toBe('inconclusive');
    expect(result.reason).toMatch(reason);
  });

  it('is inconclusive when the baseline looks faster than itself, too', () => {
    expect(analyse({ noise: 0.7 }).reason).toMatch(/^The baseline differs from itself in end-to-end latency/);
  });

  it.each([
    ['few requests leave late', lagging(0.05, 500)],
    ['all leave a little late', lagging(1, 40)],
    [
      'the machine slows by a third',
      reshaped((p) => (p.metric === 'e2e_ms' ? { ...p, value: p.value * (1 + p.pair / 330) } : p)),
    ],
  ])('still passes when %s', (_, more) => expect(analyse({}, more).verdict).toBe('pass'));

  it('gives the same bytes for the same samples', () => {
    const world = { nll: { de: 0.12 }, expert: { id: 2, by: 0.5 } };
    expect(JSON.stringify(analyse(world))).toBe(JSON.stringify(analyse(world)));
  });
});

describe('expertEffects', () => {
  const options = { seed: 3, permutations: 199, alpha: 0.05 };
  it('names no expert when none is harmed, in at least 90 of 100 worlds', () => {
    let named = 0;
    for (let seed = 0; seed < 100; seed += 1)
      if (expertEffects(samples({}, seed), { ...options, seed })?.suspect !== undefined) named += 1;
    expect(named).toBeLessThanOrEqual(10);
  });
  it.each([0, 1, 2, 3])('names expert %i of layer 1 when it is the harmed one', (id) => {
    expect(expertEffects(samples({ expert: { id, by: 0.1 } }), options)?.suspect).toMatchObject({ layer: 1, expert: id });
  });
  it('tells it from the expert of another layer that the same tokens use', () => {
    const report = expertEffects(samples({ expert: { id: 2, by: 0.1 } }), options)!;
    const own = (layer: number, expert: number) => report.effects.find((e) => e.layer === layer && e.expert === expert)!;
    expect(own(0, 2).on).toBeGreaterThan(0.04);
    expect(own(0, 2).own).toBeLessThan(0.01);
    expect(own(1, 2).own - own(1, 0).own).toBeCloseTo(0.1, 1);
  });
  it('ignores words that an endpoint made up', () => {
    const hostile = samples({}).map((p) =>
      p.metric === 'token_dnll' ? { ...p, tokens: `x:1,2 1:-1 NaN:0 1:99999999 ${p.tokens} 1e999:0,0` } : p,
    );
    expect(expertEffects(hostile, options)?.heatmap).toHaveLength(2);
  });
  it('has nothing to say about a handful of prompts', () => {
    expect(
      expertEffects(
        samples({}).filter((p) => p.pair < 25),
        options,
      ),
    ).toBeUndefined();
  });
});

describe('parsePoints', () => {
  it('keeps our points, counts dropped iterations and lines cut short', () => {
    const lines = [
      '{"type":"Metric","metric":"mixgate_nll","data":{"type":"trend"}}',
      '{"metric":"mixgate_nll","type":"Point","data":{"time":"2026-01-01T00:00:00Z","value":3.5,"tags":{"arm":"baseline","block":"ab"},"metadata":{"pair":"7","prompt":"de-1"}}}',
      '{"metric":"dropped_iterations","type":"Point","data":{"time":"2026-01-01T00:00:00Z","value":2,"tags":null}}',
      '{"metric":"http_reqs","type":"Point","data":{"value":1,"tags":{}}}',
      '{"metric":"mixgate_nll","type":"Poi',
    ];
    expect(parsePoints(lines)).toEqual({
      points: [{ metric: 'nll', value: 3.5, tags: { arm: 'baseline', block: 'ab' }, pair: 7, prompt: 'de-1' }],
      droppedIterations: 2,
      badLines: 1,
    });
  });
});
