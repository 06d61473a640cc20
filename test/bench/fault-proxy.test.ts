import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fault, startFaultProxy } from '../../bench/canary-degradations/fault-proxy.ts';
import { type Answer, measured, truthOf } from '../../bench/canary-degradations/truth.ts';

// An upstream that answers with the request it got.
const upstream = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.concat(parts)));
});
let target: string;
beforeAll(async () => {
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  target = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
});
afterAll(() => {
  upstream.close();
});

interface Seen {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function through(fault: Fault, bodies: readonly object[]): Promise<Seen[]> {
  await using proxy = await startFaultProxy({ target, fault, seed: 1 });
  const seen: Seen[] = [];
  for (const body of bodies) {
    const response = await fetch(`${proxy.url}/v1/completions`, { method: 'POST', body: JSON.stringify(body) });
    seen.push({ status: response.status, body: (await response.json()) as Record<string, unknown> });
  }
  return seen;
}

const generate = { prompt: 'one two', max_tokens: 4, stop: ['.'] };
const score = { prompt: 'one two', max_tokens: 0, echo: true };

describe('faults of the proxy', () => {
  it.each<[string, Fault, object]>([
    ['none', { kind: 'none' }, generate],
    ['drop-stop', { kind: 'drop-stop', share: 1 }, { prompt: 'one two', max_tokens: 4 }],
    ['template', { kind: 'template', prefix: '[INST] ', suffix: ' [/INST]' }, { ...generate, prompt: '[INST] one two [/INST]' }],
    ['truncate', { kind: 'truncate', characters: 3 }, { ...generate, prompt: 'two' }],
  ])('%s changes generation as it says, and leaves scoring alone', async (_name, fault, expected) => {
    const [generated, scored] = await through(fault, [generate, score]);
    expect(generated).toEqual({ status: 200, body: expected });
    expect(scored).toEqual({ status: 200, body: score });
  });

  it('stale repeats its first answer to other prompts', async () => {
    const seen = await through({ kind: 'stale', share: 1 }, [generate, { ...generate, prompt: 'three' }, score]);
    expect(seen.map(({ body }) => body)).toEqual([generate, generate, score]);
  });

  it('error fails the share it is given, the same requests for the same seed', async () => {
    const statuses = async (): Promise<number[]> =>
      (await through({ kind: 'error', share: 0.3 }, new Array<object>(200).fill(generate))).map(({ status }) => status);
    const first = await statuses();
    expect(await statuses()).toEqual(first);
    const failed = first.filter((status) => status === 503).length;
    // 60 expected of 200, standard deviation 6.5: four of them either way.
    expect(failed).toBeGreaterThan(34);
    expect(failed).toBeLessThan(86);
  });
});

describe('truth', () => {
  const top = (p: number): Record<string, number> => ({ a: Math.log(p), b: Math.log(1 - p) });
  const answer = (p: number, text = 'x'): Answer => ({
    id: '1',
    segment: 'de',
    ok: true,
    ms: 1,
    text,
    answerTokens: 2,
    tokens: ['<s>', 'a'],
    logprobs: [null, Math.log(p)],
    top: [null, top(p)],
  });

  it('is zero for equal answers', () => {
    const truth = truthOf(measured([answer(0.8)], [answer(0.8)]), '');
    expect(truth.beyond).toBe(false);
    expect(Math.max(...truth.effects.map((effect) => Math.abs(effect.change)))).toBeLessThan(1e-12);
  });

  it('gives loss and divergence in nats, and changed answers as a share', () => {
    const effects = measured([answer(0.8)], [answer(0.4, 'y')]);
    const of = (name: string): number | undefined => effects.find((effect) => effect.name === name)?.change;
    expect(of('nll')).toBeCloseTo(Math.log(2), 12);
    expect(of('kld')).toBeCloseTo(0.8 * Math.log(2) + 0.2 * Math.log(1 / 3), 6);
    expect(of('answers changed')).toBe(1);
    expect(truthOf(effects, '').beyond).toBe(true);
  });
});
