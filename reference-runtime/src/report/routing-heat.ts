// Expert usage per layer as a heat map.
import type { LayerStats } from '../server/moe.ts';
import { heatTable } from './heat-table.ts';
import { percent, short } from './number.ts';

/** Columns beside the heat map; the titles are the definitions. */
const MORE = [
  { name: 'usage entropy', title: 'Entropy of the shares over ln(experts): 1 even, 0 one expert only' },
  { name: 'skew', title: 'Largest share over the even share: 1 even' },
  { name: 'balancedness', title: "Jain's fairness index of the shares: 1 even, 1/experts one expert only" },
  { name: 'gate entropy, nats', title: 'Entropy of the gate distribution in nats, mean over tokens; at most ln(experts)' },
  { name: 'margin', title: 'First gate probability minus the second, mean over tokens' },
  { name: 'tokens', title: 'Tokens whose routing in this layer was recorded' },
];

/** The share of a layer's slots per expert, in per cent. The scale goes from 0 to the largest share, at least to twice the even one. */
export function routingHeat(caption: string, layers: readonly LayerStats[]): string {
  const experts = Math.max(0, ...layers.map((layer) => layer.share.length));
  const even = experts === 0 ? 0 : 1 / experts;
  const largest = Math.max(2 * even, ...layers.flatMap((layer) => layer.share));
  return heatTable({
    caption,
    corner: 'layer / expert',
    column: 'expert',
    columns: Array.from({ length: experts }, (_, expert) => String(expert)),
    rows: layers.map((layer) => ({
      name: String(layer.layer),
      values: layer.share,
      more: [
        layer.usage_entropy_ratio.toFixed(3),
        layer.skew.toFixed(2),
        layer.balancedness.toFixed(3),
        layer.gate_entropy_nats.toFixed(3),
        layer.top2_margin.toFixed(3),
        short(layer.rows),
      ],
    })),
    more: MORE,
    min: 0,
    max: largest,
    format: percent,
    unit: '%',
    note: `Even usage would be ${short(even * 100)} % everywhere.`,
  });
}
