// What `evaluate` finds, and how it is printed.
import { columns } from './output.ts';

/** Likelihood of some tokens; null where there are none. */
export interface Figures {
  tokens: number;
  bytes: number;
  perplexity: number | null;
  bits_per_byte: number | null;
}

export interface ExpertFigures extends Figures {
  expert: number;
  usage: number;
}

export interface SegmentReport extends Figures {
  windows: number;
  windows_skipped: number;
  layers: Array<{ layer: number; usage_entropy_ratio: number; experts: ExpertFigures[] }>;
}

/** What the command prints as JSON. */
export interface EvaluationReport {
  model: string;
  window: number;
  trace_available: boolean;
  total: Figures;
  segments: Record<string, SegmentReport>;
}

const shown = (value: number | null, digits: number): string => (value === null ? '-' : value.toFixed(digits));

/** Segments, then perplexity by layer and expert in each of them. */
export function evaluationTable({ total, segments }: EvaluationReport): string {
  const names = Object.keys(segments);
  const bySegment = columns([
    ['segment', 'tokens', 'bits per byte', 'perplexity', 'windows'],
    ...Object.entries(segments).map(([name, segment]) => [
      name,
      String(segment.tokens),
      shown(segment.bits_per_byte, 3),
      shown(segment.perplexity, 2),
      String(segment.windows),
    ]),
    ['all', String(total.tokens), shown(total.bits_per_byte, 3), shown(total.perplexity, 2), ''],
  ]);
  const layers = Object.values(segments)[0]?.layers.map((layer) => layer.layer) ?? [];
  if (layers.length === 0) return `${bySegment}\nRouter tracing is not available: no figures by expert.\n`;
  const experts = layers.flatMap((layer) => {
    const count = Math.max(...names.map((name) => at(segments, name, layer).length));
    return Array.from({ length: count }, (_, expert) => [
      String(layer),
      String(expert),
      ...names.map((name) => {
        const found = at(segments, name, layer)[expert];
        return found === undefined || found.tokens === 0 ? '-' : `${shown(found.perplexity, 2)} (${found.tokens})`;
      }),
    ]);
  });
  return `${bySegment}\nPerplexity of the tokens predicted through an expert (tokens):\n${columns([['layer', 'expert', ...names], ...experts])}`;
}

function at(segments: EvaluationReport['segments'], name: string, layer: number): ExpertFigures[] {
  return segments[name]?.layers.find((each) => each.layer === layer)?.experts ?? [];
}
