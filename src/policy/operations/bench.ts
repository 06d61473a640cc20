import type { SourceDocument } from '../../config/document.ts';
import type { GateResult } from '../../core/gate.ts';
import type { PolicySource } from '../../rego/source.ts';
import { type GrowthOptions, type GrowthReport, growthReport, measureGrowth } from '../growth.ts';
import { judgeLatency } from '../latency.ts';
import { domainInputs } from '../replay.ts';
import { domainOf, prepareSide } from '../side.ts';
import { guarded, policyResult, type Workbench } from './workbench.ts';

/** Evaluations at each size of the growth measurement; there are up to nine sizes. */
const GROWTH_ROUNDS = 2000;

/** Evaluation latency of each entrypoint against a budget in ms (p99), and how it grows with input and data where that is asked for. */
export async function benchPolicy(
  bench: Workbench,
  source: PolicySource,
  options: {
    readonly entrypoints: readonly string[];
    readonly inputs: readonly string[];
    readonly document: SourceDocument | undefined;
    readonly budgetMs: number;
    readonly rounds: number;
    /** Also measure at several sizes. */
    readonly growth?: Pick<GrowthOptions, 'inputPath' | 'dataPath'> | undefined;
  },
): Promise<GateResult> {
  return guarded(source, async () => {
    const prepared = await prepareSide(bench.opa, bench.pool, source, options.entrypoints);
    if (prepared.side === undefined) return policyResult(prepared.findings, source, '');
    const inputs =
      options.document === undefined
        ? options.inputs
        : [...options.inputs, ...domainInputs(domainOf(options.document, [prepared.side]), 1000).map((i) => i.input)];
    const latency = await judgeLatency(prepared.side, undefined, inputs.length > 0 ? inputs : ['{}'], {
      budgetMs: options.budgetMs,
      rounds: options.rounds,
    });
    const reports: GrowthReport[] = [];
    for (const entrypoint of options.growth === undefined ? [] : options.entrypoints) {
      bench.run.progress.step(`policy: growth of ${entrypoint}`);
      const rounds = Math.min(options.rounds, GROWTH_ROUNDS);
      const wanted = { ...options.growth!, entrypoint, inputs, rounds, budgetMs: options.budgetMs };
      reports.push(growthReport(entrypoint, await measureGrowth(prepared.side, wanted), options.budgetMs));
    }
    // An empty input ends at the first field that it lacks: a number, but hardly the one that is wanted.
    const on = inputs.length > 0 ? '' : ', on an empty input only: give --corpus, --domain or --input';
    return {
      ...policyResult(latency.findings, source, `every entrypoint is within ${options.budgetMs} ms at p99${on}`, [
        ...latency.tables,
        ...reports.flatMap((r) => r.tables),
      ]),
      measurements: [...latency.measurements, ...reports.flatMap((r) => r.measurements)],
      ...(reports.length === 0 ? {} : { charts: reports.flatMap((r) => r.charts) }),
    };
  });
}
