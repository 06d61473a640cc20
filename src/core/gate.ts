import { compareFindings, type Finding } from './finding.ts';
import type { Json } from './json.ts';
import { type Verdict, worstVerdict } from './verdict.ts';

export const GATE_IDS = ['telemetry', 'policy', 'catalog', 'drift', 'canary', 'slo', 'promotion'] as const;
export type GateId = (typeof GATE_IDS)[number];

/** One number that a gate measured. `unit` is UCUM as in OpenTelemetry (`s`, `ms`, `1`, `By`, `{request}`). */
export interface Measurement {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly cluster?: string;
  readonly segment?: string;
  readonly baseline?: number;
  readonly candidate?: number;
  readonly interval?: readonly [number, number];
  readonly margin?: number;
  /** Smallest effect this run could have seen. */
  readonly mde?: number;
  readonly verdict?: Verdict;
  readonly method?: string;
  readonly limit?: number;
  readonly n?: number;
  /** Measured with a clock, so it differs between two runs: left out of what is compared byte for byte. */
  readonly volatile?: boolean;
}

/** A table that people read in the reports; cells are plain text, untrusted, escaped by each reporter. */
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly note?: string;
  /** Sentences below the table: what the rows that need a word say. */
  readonly details?: readonly string[];
  /** Rows from `from` on are alike (`what`: "pass"); a long table says how many more there are, JSON and HTML list them. */
  readonly fold?: { readonly from: number; readonly what: string };
  /** Holds what was measured with a clock, as with a measurement. */
  readonly volatile?: boolean;
}

interface ChartBase {
  readonly title: string;
  readonly xLabel?: string;
  readonly yLabel?: string;
  readonly note?: string;
}
export interface BarChart extends ChartBase {
  readonly kind: 'bar';
  readonly categories: readonly string[];
  readonly series: readonly { readonly name: string; readonly values: readonly number[] }[];
}
export interface LineChart extends ChartBase {
  readonly kind: 'line';
  readonly logX?: boolean;
  readonly series: readonly {
    readonly name: string;
    readonly points: readonly (readonly [number, number])[];
    readonly step?: boolean;
  }[];
  /** An area that goes with the first series: its interval at each x, low and high. */
  readonly band?: { readonly name: string; readonly points: readonly (readonly [x: number, low: number, high: number])[] };
  /** The y axis spans the data and need not begin at 0 (ratios, differences). */
  readonly fitY?: boolean;
  /** Upper end of the y axis, where it is known (1 for a share). */
  readonly yMax?: number;
  /** Horizontal reference lines, e.g. an SLO threshold; a quiet one is no threshold ("no change"). */
  readonly limits?: readonly { readonly name: string; readonly value: number; readonly quiet?: boolean }[];
}
/** Effects with confidence intervals, one row each: a forest plot. */
export interface ForestChart extends ChartBase {
  readonly kind: 'forest';
  readonly rows: readonly {
    readonly label: string;
    readonly effect: number;
    readonly low: number;
    readonly high: number;
    readonly verdict: Verdict;
  }[];
  /** The no-effect line (0 for differences, 1 for ratios). */
  readonly reference: number;
  readonly margin?: number;
}
export interface HeatmapChart extends ChartBase {
  readonly kind: 'heatmap';
  readonly xCategories: readonly string[];
  readonly yCategories: readonly string[];
  /** values[y][x] */
  readonly values: readonly (readonly number[])[];
  readonly min?: number;
  readonly max?: number;
}
export type Chart = BarChart | LineChart | ForestChart | HeatmapChart;

export interface GateResult {
  readonly id: GateId;
  readonly verdict: Verdict;
  /** What evidence is missing, whatever else was found: without it the verdict is never better than `inconclusive`. */
  readonly missing?: string;
  /** One sentence: why this verdict. */
  readonly reason: string;
  readonly findings: readonly Finding[];
  readonly measurements: readonly Measurement[];
  readonly tables?: readonly Table[];
  readonly charts?: readonly Chart[];
  /** Digests of what the gate judged (policy bundle, model, schemas, samples), for the evidence. */
  readonly subjects?: readonly Subject[];
  /** Facts worth keeping in the evidence: "proved on 1244160 of 1244160". */
  readonly facts?: { readonly [name: string]: Json };
}

/** in-toto Statement v1 subject: a name and its digests. */
export interface Subject {
  readonly name: string;
  readonly digest: { readonly [algorithm: string]: string };
}

export interface GateInput {
  readonly id: GateId;
  readonly findings: readonly Finding[];
  readonly measurements?: readonly Measurement[];
  readonly tables?: readonly Table[];
  readonly charts?: readonly Chart[];
  readonly subjects?: readonly Subject[];
  readonly facts?: { readonly [name: string]: Json };
  /** The blocking finding that says most, for the reason; default the first in report order. */
  readonly headline?: Finding | undefined;
  /** Reason text when nothing was found. */
  readonly passReason: string;
  /** Set when evidence is missing: the sentence says what and how much more is needed. */
  readonly inconclusive?: string | undefined;
}

/**
 * The one way a pull-request gate turns findings into a verdict: an unwaived blocking finding fails, missing
 * evidence is inconclusive, any other unwaived warning warns.
 */
export function gateResult(input: GateInput): GateResult {
  const findings = [...input.findings].sort(compareFindings);
  const open = findings.filter((f) => f.waived === false);
  const blocking = open.filter((f) => f.blocking);
  const warnings = open.filter((f) => !f.blocking && f.level !== 'note');
  const verdict: Verdict = worstVerdict([
    'pass',
    ...(blocking.length > 0 ? (['fail'] as const) : []),
    ...(input.inconclusive === undefined ? [] : (['inconclusive'] as const)),
    ...(warnings.length > 0 ? (['warn'] as const) : []),
  ]);
  const headline = blocking.find((f) => f.id === input.headline?.id);
  const first = headline ?? blocking[0] ?? warnings[0];
  const more = (count: number): string => (count > 1 ? ` (and ${count - 1} more)` : '');
  const reason =
    verdict === 'fail'
      ? `${firstSentence(first!.message)}${more(blocking.length)}`
      : verdict === 'inconclusive'
        ? input.inconclusive!
        : verdict === 'warn'
          ? `${firstSentence(first!.message)}${more(warnings.length)}`
          : input.passReason;
  return {
    id: input.id,
    verdict,
    ...(input.inconclusive === undefined ? {} : { missing: input.inconclusive }),
    reason,
    findings,
    measurements: input.measurements ?? [],
    ...(input.tables === undefined ? {} : { tables: input.tables }),
    ...(input.charts === undefined ? {} : { charts: input.charts }),
    ...(input.subjects === undefined ? {} : { subjects: input.subjects }),
    ...(input.facts === undefined ? {} : { facts: input.facts }),
  };
}

/** A result with more findings, its verdict computed again. A gate that could not run stays that. */
export function withFindings(result: GateResult, more: readonly Finding[]): GateResult {
  if (more.length === 0) return result;
  const findings = [...result.findings, ...more];
  if (result.verdict === 'error') return { ...result, findings };
  const again = gateResult({ id: result.id, findings, passReason: result.reason, inconclusive: result.missing });
  return { ...result, findings: again.findings, verdict: again.verdict, reason: again.reason };
}

export function firstSentence(text: string): string {
  const match = /^(?<sentence>[\s\S]*?[.!?])(?:\s+(?=\p{Lu})|$)/u.exec(text);
  return (match?.groups?.['sentence'] ?? text).trim();
}
