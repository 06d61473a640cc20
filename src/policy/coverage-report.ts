import type { Finding } from '../core/finding.ts';
import type { Measurement, Table } from '../core/gate.ts';
import { canonicalJson, type Json } from '../core/json.ts';
import type { PolicySource } from '../rego/source.ts';
import { decisionOf } from './decision.ts';
import { type DecisionValue, decisionValues, ValueTally } from './decision-values.ts';
import type { Definition } from './definitions.ts';
import { type Domain, distance, inputOf } from './domain.ts';
import type { Opa } from './opa.ts';
import { type MeasuredCoverage, measureRules, type RuleCoverage } from './rule-coverage.ts';
import { policyFinding } from './rules.ts';
import { pointsOf, take } from './sampling.ts';
import { entrypointLocation, type Side } from './side.ts';

/** Points of the domain on which reachable decision values are looked for. */
export const DEFAULT_VALUE_POINTS = 20_000;
const CHUNK = 4096;
/** Rows of a table, and places in a finding: the rest is counted. */
const MAX_ROWS = 100;
const MAX_RELATED = 20;

export interface CoverageOptions {
  readonly entrypoints: readonly string[];
  /** Least share of definitions that a test must make hold, in percent; undefined: measured, not judged. */
  readonly rules: number | undefined;
  /** Least share of the decision values of the first entrypoint that a test must see, in percent. */
  readonly decisions: number | undefined;
  /** Where decision values are looked for that the policy can take. */
  readonly against: { readonly side: Side; readonly domain: Domain; readonly maxPoints: number } | undefined;
}

export interface CoverageReport {
  readonly findings: readonly Finding[];
  readonly measurements: readonly Measurement[];
  readonly tables: readonly Table[];
  readonly facts: { readonly [name: string]: Json };
  readonly inconclusive: string | undefined;
}

/** Coverage of the policy's own tests by definition, and by the values that its decision can take on the domain. */
export async function coverageReport(opa: Opa, source: PolicySource, options: CoverageOptions): Promise<CoverageReport> {
  const coverage = await measureRules(opa, source, options.entrypoints);
  if ('unmeasured' in coverage) return unmeasured(coverage, options);
  const parts = [rulePart(coverage, options)];
  for (const entrypoint of options.entrypoints.slice(0, 1)) parts.push(await decisionPart(coverage, entrypoint, source, options));
  return {
    findings: parts.flatMap((p) => p.findings),
    measurements: parts.flatMap((p) => p.measurements),
    tables: parts.flatMap((p) => p.tables),
    facts: Object.assign({}, ...parts.map((p) => p.facts)) as CoverageReport['facts'],
    inconclusive: parts.find((p) => p.inconclusive !== undefined)?.inconclusive,
  };
}

function unmeasured(
  { unmeasured: why }: Extract<MeasuredCoverage, { unmeasured: string }>,
  options: CoverageOptions,
): CoverageReport {
  const asked = options.rules !== undefined || options.decisions !== undefined;
  return {
    findings: [],
    measurements: [],
    tables: [],
    facts: { ruleCoverage: `not measured: ${why}` },
    inconclusive: asked ? `Coverage by rule could not be measured: ${why}.` : undefined,
  };
}

function rulePart({ measured, tests }: RuleCoverage, { rules: threshold }: CoverageOptions): CoverageReport {
  const missing = measured.filter((d) => !tests.has(d.id));
  const held = measured.length - missing.length;
  const percent = share(held, measured.length);
  const findings: Finding[] = [];
  if (threshold !== undefined && percent < threshold)
    findings.push(
      policyFinding('policy-rule-coverage-low', {
        message: `The tests reach ${held} of ${measured.length} rule definitions (${percent} %), less than the ${threshold} % asked for.`,
        location: missing[0]?.location,
        related: missing.slice(1, MAX_RELATED).map((d) => ({ ...d.location, message: `not reached: ${d.rule}` })),
        evidence: { percent, threshold, unreached: missing.map(place) },
        fix: 'Add a test in which each of them holds, or remove what can never hold (`mixgate policy lint` tells).',
      }),
    );
  return {
    findings,
    measurements: [
      {
        name: 'policy.tests.rule_coverage',
        value: percent,
        unit: '%',
        n: measured.length,
        ...(threshold === undefined ? {} : { limit: threshold }),
      },
    ],
    tables:
      missing.length === 0
        ? []
        : [
            {
              title: 'Rules that no test reaches',
              columns: ['Rule', 'Line', 'Definition'],
              rows: missing.slice(0, MAX_ROWS).map((d) => [d.rule, place(d), d.text.slice(0, 100)]),
              note: `${held} of ${measured.length} definitions hold in some test${missing.length > MAX_ROWS ? `; the first ${MAX_ROWS} of ${missing.length} others` : ''}. Bodies, links of else chains and defaults count, whatever their layout.`,
            },
          ],
    facts: { ruleCoverage: `${held} of ${measured.length} definitions hold in some test` },
    inconclusive: undefined,
  };
}

async function decisionPart(
  { decisions }: RuleCoverage,
  entrypoint: string,
  source: PolicySource,
  { decisions: threshold, against }: CoverageOptions,
): Promise<CoverageReport> {
  const seen = new ValueTally<number>();
  for (const decision of decisions.get(entrypoint) ?? []) seen.add(decisionValues(decision, source.data), 1);
  if (against === undefined)
    return {
      findings: [],
      measurements: [],
      tables: [],
      facts: {
        decisionCoverage: `${seen.entries().length} values of ${entrypoint} seen by tests; no domain to tell which others there are`,
      },
      inconclusive:
        threshold === undefined
          ? undefined
          : 'Coverage by decision value needs an input domain: without one nobody knows the values.',
    };
  const { side, domain, maxPoints } = against;
  const reachable = await reachableValues(side, entrypoint, domain, maxPoints);
  const all = reachable.entries();
  const unseen = all.filter((value) => !seen.has(value));
  const percent = share(all.length - unseen.length, all.length);
  const points = Math.min(domain.size, maxPoints);
  const where = points === domain.size ? `all ${domain.size} points` : `${points} of ${domain.size} points`;
  const open = [...new Set([...reachable.open, ...seen.open])];
  const leftOut = open.length === 0 ? '' : `; left out, because they take too many values: ${open.join(', ')}`;
  const summary = `${all.length - unseen.length} of ${all.length} values of ${entrypoint} that the domain reaches (${where}) are seen by a test${leftOut}`;
  const findings: Finding[] = [];
  if (threshold !== undefined && percent < threshold)
    findings.push(
      policyFinding('policy-decision-coverage-low', {
        message: `The tests see ${all.length - unseen.length} of ${all.length} values that ${entrypoint} takes on the domain (${percent} %), less than the ${threshold} % asked for: not ${unseen
          .slice(0, 5)
          .map((v) => `${v.what} ${v.value}`)
          .join(', ')}${unseen.length > 5 ? ', ...' : ''}.`,
        location: entrypointLocation(side, entrypoint),
        subject: entrypoint,
        evidence: {
          percent,
          threshold,
          points,
          unseen: unseen.slice(0, MAX_RELATED).map((v) => {
            const { digits, decision } = v.evidence;
            const input = inputOf(domain, digits);
            return {
              what: v.what,
              value: v.value,
              input,
              decision: decision ?? null,
              test: valueTest(entrypoint, v, input, decision),
            };
          }),
        },
        fix: 'Add a test for each value; the evidence has one to paste, if that is the decision you want.',
      }),
    );
  return {
    findings,
    measurements: [
      {
        name: 'policy.tests.decision_coverage',
        value: percent,
        unit: '%',
        segment: entrypoint,
        n: all.length,
        ...(threshold === undefined ? {} : { limit: threshold }),
      },
    ],
    tables:
      unseen.length === 0
        ? []
        : [
            {
              title: 'Decision values that no test sees',
              columns: ['What', 'Value', 'Seen with'],
              rows: unseen.slice(0, MAX_ROWS).map((v) => [v.what, v.value, changes(domain, v.evidence.digits)]),
              note: `${summary}.`,
            },
          ],
    facts: { decisionCoverage: summary },
    inconclusive: undefined,
  };
}

interface Witness {
  readonly digits: readonly number[];
  readonly distance: number;
  readonly decision: Json | undefined;
}

/** Values that the entrypoint takes on the domain, each with the point nearest to the base that gives it. */
async function reachableValues(side: Side, entrypoint: string, domain: Domain, limit: number): Promise<ValueTally<Witness>> {
  const tally = new ValueTally<Witness>();
  const points = pointsOf(domain, Math.min(domain.size, limit));
  for (let chunk = take(points, CHUNK); chunk.length > 0; chunk = take(points, CHUNK)) {
    const inputs = chunk.map((digits) => JSON.stringify(inputOf(domain, digits)));
    const outcomes = await side.pool.outcomes(side.plain, entrypoint, inputs);
    for (const [index, outcome] of outcomes.entries()) {
      // Errors are findings of the gate's other parts.
      if ('failure' in outcome) continue;
      const decision = decisionOf(outcome);
      const digits = chunk[index]!;
      const witness = { digits, distance: distance(domain, digits), decision };
      tally.add(decisionValues(decision, side.source.data), witness, (fresh, known) => fresh.distance < known.distance);
    }
  }
  return tally;
}

/** What of the base input has to change, as text. */
function changes(domain: Domain, digits: readonly number[]): string {
  const changed = domain.dimensions.flatMap((d, index) => {
    const digit = digits[index]!;
    if (digit === d.base) return [];
    const { json } = d.choices[digit]!;
    return [json === undefined ? `${d.text} absent` : `${d.text} = ${JSON.stringify(json)}`];
  });
  return changed.length === 0 ? 'the base input' : changed.join(', ').slice(0, 1000);
}

/** A test that sees the value: it passes on the policy as it is. */
function valueTest(entrypoint: string, { what, value }: DecisionValue, input: Json, decision: Json | undefined): string {
  const path = `data.${entrypoint.replaceAll('/', '.')}`;
  return [
    `package ${entrypoint.split('/').slice(0, -1).join('.')}_values_test`,
    '',
    `test_${`${what}_${value}`.replaceAll(/\W+/g, '_')} if {`,
    `\tsample := ${JSON.stringify(input)}`,
    ...(decision === undefined
      ? [`\tnot ${path} with input as sample`]
      : [
          `\tdecision := ${path} with input as sample`,
          // Sets reach us as arrays; through JSON they compare as such.
          `\tjson.unmarshal(json.marshal(decision)) == ${canonicalJson(decision)}`,
        ]),
    '}',
    '',
  ].join('\n');
}

function place(definition: Definition): string {
  return `${definition.location.file}:${definition.location.line ?? 1}`;
}

/** In percent, to two places, never rounded up to a hundred. */
function share(part: number, whole: number): number {
  return whole === 0 ? 100 : Math.floor((10_000 * part) / whole) / 100;
}
