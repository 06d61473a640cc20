// The scheduler on a context that keeps its outputs as llama.cpp does: in the order in which micro-batches end, until somebody asks.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NativeContext, NativeSampler } from '../src/engine/native-context.ts';
import { type Lane, Scheduler } from '../src/engine/scheduler.ts';

const sampler: NativeSampler = { applyConfig: () => {}, dispose: () => {} };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * What a lane should sample is 1000 + its sequence. Lanes of one step end in the order of their rows (llama_batch_allocr::split_equal), each
 * output into the next place; the swaps that bring them into the batch's order are remembered, and made by whoever asks for logits first
 * (llama_context::output_reorder); each of several who ask at once is a little later than the one before.
 */
class LazyContext implements NativeContext {
  #rows: Array<{ sequence: number; rows: number; wanted: boolean }> = [];
  #outputs: number[] = [];
  #swaps: Array<[number, number]> = [];
  #asking = 0;

  initBatch(): void {
    this.#rows = [];
  }

  addToBatch(sequence: number, _position: number, tokens: Uint32Array, logitRows: Uint32Array): number[] {
    const wanted = logitRows.length > 0;
    this.#rows.push({ sequence, rows: tokens.length, wanted });
    return wanted ? [this.#rows.filter((row) => row.wanted).length - 1] : [];
  }

  async decodeBatch(): Promise<void> {
    await turn();
    const asked = this.#rows.filter(({ wanted }) => wanted);
    const places = asked.map((_, index) => index).sort((a, b) => (asked[a]?.rows ?? 0) - (asked[b]?.rows ?? 0));
    this.#outputs = places.map((index) => 1000 + (asked[index]?.sequence ?? 0));
    this.#swaps = [];
    for (let at = 0; at < places.length; at++) {
      const least = places.indexOf(at);
      if (least === at) continue;
      [places[at], places[least]] = [places[least] as number, places[at] as number];
      this.#swaps.push([at, least]);
    }
  }

  async sampleToken(logit: number): Promise<never> {
    const late = this.#asking++;
    for (const [a, b] of this.#swaps) {
      for (let turns = 0; turns <= late; turns++) await turn();
      [this.#outputs[a], this.#outputs[b]] = [this.#outputs[b] as number, this.#outputs[a] as number];
    }
    this.#swaps = [];
    this.#asking--;
    return this.#outputs[logit] as never;
  }

  disposeSequence(): void {}
  setThreads(): void {}
}

describe('the scheduler', () => {
  it('gives every lane the sample of its own logits, however long the prompts beside it are', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 8, max: 40 }),
        async (lengths, batch) => {
          const scheduler = new Scheduler(new LazyContext(), batch, () => {});
          const sampled = lengths.map((): number[] => []);
          const lane = (length: number, sequence: number): Lane => ({
            sequence,
            priority: 3,
            sampler,
            tokens: new Array<number>(length).fill(1),
            scoreAll: false,
            probabilities: false,
            signal: new AbortController().signal,
            paused: false,
            next: (token) => (sampled[sequence]?.push(token) === 3 ? undefined : token),
          });
          await Promise.all(lengths.map((length, sequence) => scheduler.run(lane(length, sequence))));
          expect(sampled).toEqual(lengths.map((_, sequence) => new Array<number>(3).fill(1000 + sequence)));
        },
      ),
    ));
});
