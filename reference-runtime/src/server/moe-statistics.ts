// What totals of routing say: shares, evenness, how far segments are from all requests. Pure, and for a thread of its own where a model is
// wide and segments are many: 32 segments of 64 layers with 128 experts take a tenth of a second.
import { jensenShannon } from '../engine/trace-math.ts';
import { type LayerStats, layerStats } from './moe.ts';
import type { TotalsSnapshot } from './moe-totals.ts';

/** Statistics over traced requests. An incomplete one lost rows to a full buffer; those it has are counted. */
export interface RoutingStats {
  requests_traced: number;
  requests_incomplete: number;
  layers: LayerStats[];
}

/** A segment's own statistics. */
export interface SegmentStats extends Omit<RoutingStats, 'layers'> {
  segment: string;
  /** `divergence_bits`: Jensen-Shannon divergence of the segment's shares from the model's over all requests, 0 to 1. */
  layers: Array<LayerStats & { divergence_bits: number }>;
}

export interface ModelStats extends RoutingStats {
  model: string;
  version: string;
  /** Of the asking tenant's own requests. */
  segments: SegmentStats[];
}

export interface MoeStats {
  /** All counts began here; they are never reset while the process lives. */
  since: string;
  /** Of the asking tenant: requests of a segment that came after the limit of segments was reached. Models have them, segments do not. */
  segments_overflow: number;
  models: ModelStats[];
}

/** All counts that a tenant may see, at one time. */
export interface MoeSnapshot {
  since: string;
  segmentsOverflow: number;
  /** Counters in all of it: what the statistics cost. */
  cells: number;
  models: Array<{
    model: string;
    version: string;
    totals: TotalsSnapshot;
    segments: Array<{ segment: string; totals: TotalsSnapshot }>;
  }>;
}

function routing({ requests, incomplete, layers, usage }: TotalsSnapshot): RoutingStats {
  const experts = layers.length === 0 ? 0 : usage.length / layers.length;
  return {
    requests_traced: requests,
    requests_incomplete: incomplete,
    layers: layers.map(({ layer, rows, entropySum, marginSum }, index) =>
      layerStats({
        layer,
        rows,
        usage: [...usage.subarray(index * experts, (index + 1) * experts)],
        gateEntropyNats: entropySum / rows,
        top2Margin: marginSum / rows,
      }),
    ),
  };
}

/** A segment's statistics with how far each layer's usage is from that of all requests. */
function apart(own: RoutingStats, all: RoutingStats): Omit<SegmentStats, 'segment'> {
  const shares = new Map(all.layers.map(({ layer, share }) => [layer, share]));
  return {
    ...own,
    layers: own.layers.map((layer) => ({
      ...layer,
      divergence_bits: jensenShannon(layer.share, shares.get(layer.layer) ?? layer.share),
    })),
  };
}

export function moeStats({ since, segmentsOverflow, models }: MoeSnapshot): MoeStats {
  return {
    since,
    segments_overflow: segmentsOverflow,
    models: models.map(({ model, version, totals, segments }) => {
      const all = routing(totals);
      return {
        model,
        version,
        ...all,
        segments: segments.map(({ segment, totals: own }) => ({ segment, ...apart(routing(own), all) })),
      };
    }),
  };
}
