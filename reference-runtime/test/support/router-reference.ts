// Router rows of an engine beside those that PyTorch computed from the same weights (models/reference-router.json).
import { readFileSync } from 'node:fs';
import { topExperts } from '../../src/engine/trace-math.ts';
import type { Engine } from '../../src/engine/types.ts';
import { collect, request } from './requests.ts';

export interface Reference {
  sha256: string;
  token_layers: number;
  experts_used: number;
  sequences: Array<{ id: string; tokens: number[]; top2: number[][][]; probabilities: number[][][] }>;
}

export const reference = JSON.parse(
  readFileSync(new URL('../../models/reference-router.json', import.meta.url), 'utf8'),
) as Reference;

/** Agreement over token-layers; differences are the largest of one expert's gate probability (0 to 1). */
export interface Agreement {
  tokenLayers: number;
  equalChoices: number;
  median: number;
  p99: number;
}

/**
 * Scores the sequences of the reference under tracing, `together` at a time, and compares every row.
 * @throws Error when a row is missing or belongs to another token
 */
export async function compareRouter(engine: Engine, sequences: Reference['sequences'], together: number): Promise<Agreement> {
  const differences: number[] = [];
  let equal = 0;
  for (let at = 0; at < sequences.length; at += together) {
    const batch = sequences.slice(at, at + together);
    const results = await Promise.all(
      batch.map(({ tokens }) =>
        collect(engine, request({ prompt: { kind: 'tokens', tokens }, echo: true, logprobs: 0, maxTokens: 0, trace: 'full' })),
      ),
    );
    for (const [index, { trace }] of results.entries()) {
      const expected = batch[index] as Reference['sequences'][number];
      const rows = trace?.rows;
      if (trace === undefined || rows === undefined) throw new Error(`${expected.id}: no trace`);
      const count = expected.tokens.length * expected.probabilities.length;
      if (trace.dropped > 0 || rows.position.length !== count)
        throw new Error(`${expected.id}: ${rows.position.length} of ${count} rows, ${trace.dropped} dropped`);
      for (let row = 0; row < count; row++) {
        const position = rows.position[row] as number;
        if (rows.token[row] !== expected.tokens[position])
          throw new Error(`${expected.id}: position ${position} has token ${rows.token[row]}`);
        const gate = rows.probabilities.subarray(row * rows.experts, (row + 1) * rows.experts);
        const theirs = expected.probabilities[rows.layer[row] as number]?.[position] as number[];
        differences.push(Math.max(...theirs.map((value, expert) => Math.abs(value - (gate[expert] as number)))));
        const chosen = new Set(topExperts(gate, rows.expertsUsed));
        const wanted = expected.top2[rows.layer[row] as number]?.[position] as number[];
        if (wanted.every((expert) => chosen.has(expert))) equal++;
      }
    }
  }
  differences.sort((a, b) => a - b);
  const quantile = (share: number): number => differences[Math.floor((differences.length - 1) * share)] as number;
  return {
    tokenLayers: differences.length,
    equalChoices: equal / differences.length,
    median: quantile(0.5),
    p99: quantile(0.99),
  };
}
