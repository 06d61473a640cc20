import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { readSamples } from '../../../src/canary/read-samples.ts';
import { k6Problem, samplesToCase } from '../../../src/canary/samples.ts';
import { exec } from '../../../src/tools/exec.ts';
import { resolveTool } from '../../../src/tools/resolve.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { judgeSamples } from './cases.ts';

/** Forty pairs of a trend and a rate; the candidate is 20 % slower. No network. */
const SCRIPT = `
import exec from 'k6/execution';
import { Rate, Trend } from 'k6/metrics';
const ttft = new Trend('ttft_ms', true);
const failed = new Rate('failed');
export const options = { scenarios: { s: { executor: 'shared-iterations', vus: 1, iterations: 40 } } };
export default function () {
  const i = exec.scenario.iterationInTest;
  exec.vu.metrics.metadata.pair = String(i);
  for (const arm of ['baseline', 'candidate']) {
    const noise = 1 + 0.05 * Math.sin(i * (arm === 'baseline' ? 7 : 11));
    ttft.add((100 + 50 * Math.sin(i)) * noise * (arm === 'candidate' ? 1.2 : 1), { arm, segment: 'en' });
    failed.add(false, { arm, segment: 'en' });
  }
}
`;

const folder = temporaryFolder();
let k6 = '';
beforeAll(async () => {
  writeFileSync(join(folder, 'script.js'), SCRIPT);
  k6 = (await resolveTool('k6')).path;
}, 600_000);

async function run(output: string): Promise<number> {
  const result = await exec(k6, ['run', '--quiet', '--no-usage-report', '--out', output, join(folder, 'script.js')], {
    cwd: folder,
  });
  return result.code ?? -1;
}

describe('samples of a real k6 run', () => {
  test('--out json, gzipped: pairs, types and tags are read; the slower arm fails', async () => {
    const code = await run(`json=${join(folder, 'out.ndjson.gz')}`);
    expect(k6Problem(code)).toBeUndefined();
    const set = await readSamples(join(folder, 'out.ndjson.gz'));
    expect(set.types.get('ttft_ms')).toBe('trend');
    const { input, invalid } = samplesToCase(set, set, { k6ExitCode: code });
    expect(invalid).toEqual([]);
    expect(input.design).toBe('paired');
    expect(input.metrics.map((m) => [m.name, m.segment, m.kind, m.baseline.length])).toEqual([
      ['failed', 'en', 'binary', 40],
      ['ttft_ms', 'en', 'continuous', 40],
    ]);
    const result = judgeSamples(set, set);
    expect(result.verdict).toBe('fail');
    expect(result.metrics[1]!.effect).toBeCloseTo(0.2, 1);
  }, 60_000);

  test('--out csv: the same numbers', async () => {
    expect(await run(`csv=${join(folder, 'out.csv')}`)).toBe(0);
    const set = await readSamples(join(folder, 'out.csv'));
    const { input } = samplesToCase(set, set, { metrics: [{ name: 'ttft_ms' }] });
    expect(input.metrics[0]).toMatchObject({ name: 'ttft_ms', segment: 'en' });
    expect(judgeSamples(set, set, { metrics: [{ name: 'ttft_ms' }] }).metrics[0]!.n).toEqual([40, 40]);
  }, 60_000);
});
