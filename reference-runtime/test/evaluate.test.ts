// The figures of `evaluate` against the same computed from what a server answers: another program, another way to score.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EvaluationReport } from '../src/commands/evaluation-report.ts';
import { microModel, temporary } from './support/models.ts';
import { startServer, type TestServer } from './support/server.ts';

const CLI = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
const TEXTS = {
  de: ['Klicken Sie auf die Datei, um sie zu öffnen.', 'Wählen Sie Format - Zeichen.'],
  code: ['def main(argv):\n    return len(argv)\n'],
};

interface Scored {
  choices: Array<{ logprobs: { tokens: string[]; token_logprobs: Array<number | null> } }>;
  mixgate: { moe: { experts: number[][][] } };
}

describe('evaluate', () => {
  const dir = temporary();
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer(microModel());
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    dir.remove();
  });

  it('has the perplexity by segment and by expert that scoring over HTTP gives', async () => {
    for (const [segment, texts] of Object.entries(TEXTS)) {
      mkdirSync(join(dir.path, segment));
      for (const [index, text] of texts.entries()) writeFileSync(join(dir.path, segment, `${index}.txt`), text);
    }
    const ran = spawnSync(process.execPath, [CLI, 'evaluate', '--model', microModel(), '--corpus', dir.path, '--threads', '1'], {
      encoding: 'utf8',
    });
    const report = JSON.parse(ran.stdout) as EvaluationReport;
    for (const [segment, texts] of Object.entries(TEXTS)) {
      const all: number[] = [];
      const byExpert = new Map<string, number[]>();
      for (const prompt of texts) {
        const response = await server.post(
          '/v1/completions',
          { prompt, max_tokens: 0, echo: true, logprobs: 0 },
          { 'x-mixgate-include': 'moe,experts' },
        );
        const { choices, mixgate } = (await response.json()) as Scored;
        const logprobs = choices[0]!.logprobs.token_logprobs.slice(1) as number[];
        all.push(...logprobs);
        // A token is predicted at the position before it: that position's experts made it likely or not.
        for (const [position, logprob] of logprobs.entries())
          for (const [layer, experts] of mixgate.moe.experts[position]!.entries())
            for (const expert of experts)
              byExpert.set(`${layer} ${expert}`, [...(byExpert.get(`${layer} ${expert}`) ?? []), logprob]);
      }
      const perplexity = (values: number[]): number => Math.exp(-values.reduce((sum, value) => sum + value, 0) / values.length);
      const found = report.segments[segment]!;
      expect(found.tokens).toBe(all.length);
      expect(found.bytes).toBe(texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0));
      expect(found.perplexity).toBeCloseTo(perplexity(all), 3);
      expect(found.bits_per_byte).toBeCloseTo(-all.reduce((sum, value) => sum + value, 0) / Math.LN2 / found.bytes, 3);
      for (const { layer, experts } of found.layers) {
        for (const expert of experts) {
          const values = byExpert.get(`${layer} ${expert.expert}`) ?? [];
          expect(expert.tokens).toBe(values.length);
          if (values.length === 0) expect(expert.perplexity).toBeNull();
          else expect(Math.log(expert.perplexity!)).toBeCloseTo(Math.log(perplexity(values)), 3);
        }
      }
    }
  });

  it('scores text whose characters are many tokens each, in smaller windows', () => {
    const corpus = join(dir.path, 'other', 'ja');
    mkdirSync(corpus, { recursive: true });
    const text = '日本語の文章です。'.repeat(70);
    writeFileSync(join(corpus, '0.txt'), text);
    writeFileSync(join(corpus, 'empty.txt'), '');
    const ran = spawnSync(
      process.execPath,
      [CLI, 'evaluate', '--model', microModel(), '--corpus', join(dir.path, 'other'), '--threads', '1'],
      { encoding: 'utf8' },
    );
    expect([ran.status, ran.stderr]).toEqual([0, '']);
    const { ja } = (JSON.parse(ran.stdout) as EvaluationReport).segments;
    // Every byte of it, however it was cut.
    expect(ja?.bytes).toBe(Buffer.byteLength(text));
    expect(ja?.windows).toBeGreaterThanOrEqual(4);
  });
});
