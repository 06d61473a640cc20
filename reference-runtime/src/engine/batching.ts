// Makes llama.cpp batch. It puts only consecutive, ascending sequence ids into one micro-batch, and node-llama-cpp hands sequences over in
// the order of arrival, so that concurrent streams mostly decode one by one. Two levers: sort the queue by sequence id, and wait for the
// sequences that are about to ask. Both read internals of the pinned node-llama-cpp; where those are missing, the stock behaviour stays.
import type { BatchItem, BatchingOptions, LlamaContext, PrioritizedBatchItem } from 'node-llama-cpp';

interface ContextInternals {
  _queuedDecodes: Array<{ tokens: readonly number[]; sequenceId: number }>;
  _queuedDecodeSequenceIds: Set<number>;
}

function internals(context: LlamaContext | undefined): ContextInternals | undefined {
  const candidate = context as unknown as Partial<ContextInternals> | undefined;
  return Array.isArray(candidate?._queuedDecodes) && candidate?._queuedDecodeSequenceIds instanceof Set
    ? (candidate as ContextInternals)
    : undefined;
}

/** Shares `size` token slots over items in the given order: one slot each first, then as equally as lengths allow. */
export function shareSlots(items: readonly BatchItem[], size: number): PrioritizedBatchItem[] {
  const amounts = items.map(() => 0);
  let left = size;
  let open = items.length;
  while (left > 0 && open > 0) {
    const each = Math.max(1, Math.floor(left / open));
    open = 0;
    for (const [index, item] of items.entries()) {
      const missing = item.tokens.length - (amounts[index] as number);
      const take = Math.min(missing, each, left);
      amounts[index] = (amounts[index] as number) + take;
      left -= take;
      if (take < missing) open++;
    }
  }
  return items
    .map((item, index) => ({ item, processAmount: amounts[index] as number }))
    .filter((entry) => entry.processAmount > 0);
}

/** How long a batch may wait for sequences that are about to ask, in milliseconds: less than any token takes on a model worth batching. */
const GATHER_MS = 0.5;

/**
 * Batching options for a context. `active` says how many sequences are generating; `context` is read when needed, as it does not exist yet.
 */
export function batchingOptions(active: () => number, context: () => LlamaContext | undefined): BatchingOptions {
  return {
    itemPrioritizationStrategy({ items, size }) {
      const queue = internals(context())?._queuedDecodes;
      if (queue === undefined) return shareSlots(items, size);
      const sequenceOf = new Map(queue.map((entry) => [entry.tokens, entry.sequenceId]));
      const bySequence = (a: BatchItem, b: BatchItem): number =>
        (sequenceOf.get(a.tokens) ?? 0) - (sequenceOf.get(b.tokens) ?? 0);
      // Where not everything fits, the more urgent go first; what goes is then ordered so that it makes one micro-batch.
      const urgent = [...items].sort((a, b) => b.evaluationPriority - a.evaluationPriority);
      return shareSlots(urgent.slice(0, size), size).sort((a, b) => bySequence(a.item, b.item));
    },
    dispatchSchedule(dispatch) {
      const deadline = performance.now() + GATHER_MS;
      const gather = (): void => {
        const queued = internals(context())?._queuedDecodeSequenceIds.size;
        if (queued === undefined || queued >= active() || performance.now() >= deadline) dispatch();
        else setImmediate(gather);
      };
      setImmediate(gather);
    },
  };
}
