import { describe, expect, test } from 'vitest';
import type { Finding } from '../../src/core/finding.ts';
import { readCorpus } from '../../src/policy/corpus.ts';
import { provePolicy } from '../../src/policy/operations.ts';
import { replay } from '../../src/policy/replay.ts';
import { type PolicyRule, RULES } from '../../src/policy/rules.ts';
import { checkFinding, wholePolicy } from '../../src/policy/side.ts';
import { loadPolicySource } from '../../src/rego/source.ts';
import { renderAnnotations } from '../../src/report/annotations.ts';
import { renderSarif } from '../../src/report/sarif.ts';
import { reportOf } from '../report/sample.ts';
import { marksIn } from './plants/marks.ts';
import { PLACES } from './plants/places.ts';
import { domainDocument, memoryTree, policy, shown, side, testBench } from './support.ts';

const bench = await testBench();
/** For what never ends. */
const impatient = await testBench(300);

interface Log {
  readonly runs: readonly {
    readonly results: readonly {
      readonly ruleId: string;
      readonly message: { readonly text: string };
      readonly locations: readonly {
        readonly physicalLocation: {
          readonly artifactLocation: { readonly uri: string };
          readonly region: { readonly startLine: number; readonly endLine: number };
        };
      }[];
    }[];
  }[];
}

/** `file:line` of every annotation of a rule, as GitHub reads the workflow command. */
function annotated(ruleId: string, findings: readonly Finding[]): string[] {
  return renderAnnotations(reportOf(findings))
    .split('\n')
    .flatMap((command) => {
      const match = /^::(?:error|warning|notice) file=(?<file>[^,]+),line=(?<line>\d+),.*?title=(?<rule>[\w-]+) /.exec(command);
      return match?.groups?.['rule'] === ruleId ? [`${match.groups['file']}:${match.groups['line']}`] : [];
    })
    .sort();
}

/** `file:line` of every SARIF result of a rule. */
function uploaded(ruleId: string, findings: readonly Finding[], files: { readonly [file: string]: string }): string[] {
  const log = JSON.parse(renderSarif(reportOf(findings), { files: new Map(Object.entries(files)) })) as Log;
  return log.runs[0]!.results.filter((result) => result.ruleId === ruleId)
    .map(({ locations }) => {
      const { artifactLocation, region } = locations[0]!.physicalLocation;
      return `${artifactLocation.uri}:${region.startLine}`;
    })
    .sort();
}

describe('a finding of every rule is shown on the line that caused it', () => {
  test('there is a case for every rule, and for no other', () => {
    expect(Object.keys(PLACES).sort()).toEqual(RULES.map((rule) => rule.id as string).sort());
  });
  test.each(RULES.map((rule) => rule.id as PolicyRule))('%s', async (ruleId) => {
    const { files, at, find } = PLACES[ruleId];
    const marks = marksIn(files).flatMap((mark) => (mark.startsWith(`${ruleId} `) ? [mark.slice(ruleId.length + 1)] : []));
    const expected = [...(at ?? marks)].sort();
    expect(expected).not.toEqual([]);
    const findings = (await find(ruleId === 'policy-evaluation-limit' ? impatient : bench, files)).filter(
      (finding) => finding.ruleId === ruleId,
    );
    const distinct = (places: readonly string[]): readonly string[] => [...new Set(places)];
    expect(distinct(annotated(ruleId, findings))).toEqual(expected);
    expect(distinct(uploaded(ruleId, findings, files))).toEqual(expected);
  });
});

describe('what no line of head can be blamed for has a place all the same', () => {
  test('a decision that is gone is on the line that made it, where head has that line now', async () => {
    const rule = 'decision := {"allow": true} if input.n < data.limit\n';
    const found = await replay(
      await side(bench, await policy(`package p\n\n${rule}`, { limit: 5 })),
      await side(bench, await policy(`package p\n\n# A comment\n# moves it.\n${rule}`, { limit: 0 })),
      {
        entrypoint: 'p/decision',
        corpus: readCorpus(Buffer.from('{"input": {"n": 1}}'), 'corpus.ndjson', 'p/decision'),
        domain: undefined,
        maxPoints: 1,
      },
    );
    expect(shown(found.findings)).toEqual(['policy-decision-became-undefined p.rego:5']);
  });
  // The rule's name is that of the hooks, so the policy can't be instrumented and no definition can be switched off.
  const OPAQUE = 'package p\n\nmixgate := {"pool": "a"}\n\ndecision := {"allow": true, "pool": mixgate.pool}\n';
  test('a broken invariant of a policy that cannot be instrumented is on its entrypoint', async () => {
    const { invariants } = await loadPolicySource(
      memoryTree({ 'i/i.rego': 'package invariants\n\nviolation contains "x" if input.decision.pool == "a"\n' }),
      { roots: ['i'] },
    );
    const document = domainDocument({ base: { n: 1 }, vary: { n: [1] } });
    const options = { entrypoint: 'p/decision', document, invariants, folder: 'i', maxPoints: 10 };
    const { findings } = await provePolicy(bench, await policy(OPAQUE), options);
    expect(shown(findings)).toEqual(['policy-invariant-violated p.rego:5']);
  });
  test('and so is a changed decision', async () => {
    const found = await replay(
      await side(bench, await policy(OPAQUE.replace('true', 'false'))),
      await side(bench, await policy(OPAQUE)),
      {
        entrypoint: 'p/decision',
        corpus: readCorpus(Buffer.from('{"input": {"n": 1}}'), 'corpus.ndjson', 'p/decision'),
        domain: undefined,
        maxPoints: 1,
      },
    );
    expect(shown(found.findings)).toEqual(['policy-decision-widened p.rego:5']);
  });
  test('a check that ran out of time is at the top of the policy', async () => {
    const stopped = { message: 'opa check took longer than 60 s and was stopped', code: 'limit', location: undefined };
    const modules = new Map(['q.rego', 'p.rego'].map((file) => [file, 'package p\n']));
    expect(shown([checkFinding(stopped, wholePolicy(modules))])).toEqual(['policy-evaluation-limit p.rego:1']);
  });
});
