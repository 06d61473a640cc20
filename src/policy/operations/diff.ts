import type { SourceDocument } from '../../config/document.ts';
import { ConfigurationError } from '../../core/errors.ts';
import type { GateResult } from '../../core/gate.ts';
import type { Json } from '../../core/json.ts';
import type { PolicySource } from '../../rego/source.ts';
import type { Corpus } from '../corpus.ts';
import { replay } from '../replay.ts';
import { domainOf, prepareSide } from '../side.ts';
import { guarded, policyResult, type Workbench } from './workbench.ts';

/** What two versions of a policy decide differently, on recorded traffic, on a domain or both. @throws ConfigurationError when base cannot be evaluated: there is then nothing to compare with */
export async function diffPolicies(
  bench: Workbench,
  base: PolicySource,
  head: PolicySource,
  options: {
    readonly entrypoint: string;
    readonly corpus: Corpus | undefined;
    readonly document: SourceDocument | undefined;
    readonly maxPoints: number;
    readonly blocking: readonly string[] | undefined;
  },
): Promise<GateResult> {
  return guarded(head, async () => {
    const [before, after] = [
      await prepareSide(bench.opa, bench.pool, base, [options.entrypoint]),
      await prepareSide(bench.opa, bench.pool, head, [options.entrypoint]),
    ];
    if (before.side === undefined) {
      throw new ConfigurationError(
        before.findings.map((f) => ({
          message: `the base policy can't be evaluated: ${f.message}`,
          ...(f.location === undefined ? {} : { location: f.location }),
        })),
      );
    }
    if (after.side === undefined) return policyResult(after.findings, head, '');
    const domain = options.document === undefined ? undefined : domainOf(options.document, [after.side, before.side]);
    const replayed = await replay(before.side, after.side, { ...options, domain });
    const changed = replayed.diffs.reduce((sum, d) => sum + d.diff.changed, 0);
    const total = replayed.diffs.reduce((sum, d) => sum + d.diff.replayed, 0);
    return {
      ...policyResult(
        replayed.findings,
        head,
        changed === 0
          ? `no decision differs in ${total} inputs`
          : `${changed} of ${total} decisions differ, none in a class that blocks`,
        replayed.tables,
        replayed.inconclusive,
      ),
      measurements: replayed.diffs.flatMap(({ what, diff, skipped }) => [
        { name: 'policy.diff.changed', value: diff.changed, unit: '{request}', segment: what, n: diff.replayed },
        { name: 'policy.diff.not_replayed', value: skipped, unit: '{request}', segment: what },
        { name: 'policy.diff.duration', value: Math.round(diff.seconds * 1000) / 1000, unit: 's', segment: what, volatile: true },
      ]),
      facts: Object.fromEntries(
        replayed.diffs.map(({ what, diff }) => [
          what,
          {
            replayed: diff.replayed,
            changed: diff.changed,
            classes: Object.fromEntries(
              diff.groups.map((g) => [
                g.class,
                {
                  count: g.count,
                  share: Math.round(g.share * 1e6) / 1e6,
                  causes: { ...g.causes },
                  transitions: g.transitions.map((t) => ({ ...t })),
                },
              ]),
            ),
          } as Json,
        ]),
      ),
    };
  });
}
