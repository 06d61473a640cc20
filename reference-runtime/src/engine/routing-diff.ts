// Where two models route the same tokens differently.
import { jensenShannon } from './trace-math.ts';

/** The gate of one token in one layer, as far as it is compared: the chosen experts, their weights, and the softmax over all. */
export interface Gate {
  layer: number;
  experts: number[];
  weights: number[];
  probabilities: number[];
}

/** A token's gates; a layer that was not computed is absent. */
export interface Routed<G extends Gate = Gate> {
  position: number;
  layers: G[];
}

/** One layer over all tokens. A slot is one of the experts that a token uses in the layer. */
export interface LayerDifference {
  layer: number;
  tokens: number;
  slots: number;
  /** Slots whose expert the candidate does not use for the token. */
  moved: number;
  /** Share of the mixture's weight that goes to other experts (0 to 1), mean over tokens. */
  weight_moved: number;
  /** Jensen-Shannon divergence of the two gates in bits (0 to 1), mean over tokens. */
  gate_divergence_bits: number;
  /** Slots per expert: of the baseline, those of them that the candidate gave to others, and those that it got. */
  used: number[];
  lost: number[];
  won: number[];
  /** Share of the layer's weight that leaves each expert; their sum is `weight_moved`. */
  weight_lost: number[];
}

/** A token and layer where the sets of experts differ. */
export interface Change<G extends Gate> {
  position: number;
  layer: number;
  /** Share of the token's weight in the layer that goes to other experts (0 to 1): how much the change matters. */
  weight_moved: number;
  baseline: G;
  candidate: G;
}

export interface RoutingDifference<G extends Gate = Gate> {
  layers: LayerDifference[];
  /** By position, then layer: the first is where the paths part; what follows it may follow from it. */
  changes: Array<Change<G>>;
}

/** The weight that each of the baseline's experts loses, in their order. */
function weightLost(before: Gate, after: Gate): number[] {
  return before.experts.map((expert, rank) => {
    const at = after.experts.indexOf(expert);
    return Math.max(0, (before.weights[rank] as number) - (at < 0 ? 0 : (after.weights[at] as number)));
  });
}

/** Total variation distance of two mixtures: the weight that is not where it was, 0 to 1. */
export function weightMoved(before: Gate, after: Gate): number {
  return weightLost(before, after).reduce((sum, weight) => sum + weight, 0);
}

/**
 * Compares the routing of the same tokens by two models of one shape. The order of the chosen experts does not count: only their weights
 * differ then, which `weight_moved` has. Token-layers that only one side has are left out.
 */
export function compareRouting<G extends Gate>(
  baseline: ReadonlyArray<Routed<G>>,
  candidate: ReadonlyArray<Routed<G>>,
): RoutingDifference<G> {
  const layers = new Map<number, LayerDifference>();
  const changes: Array<Change<G>> = [];
  const other = new Map(candidate.map((token) => [token.position, token]));
  for (const { position, layers: gates } of [...baseline].sort((a, b) => a.position - b.position)) {
    for (const before of [...gates].sort((a, b) => a.layer - b.layer)) {
      const after = other.get(position)?.layers.find((gate) => gate.layer === before.layer);
      if (after === undefined) continue;
      const lost = before.experts.filter((expert) => !after.experts.includes(expert));
      const won = after.experts.filter((expert) => !before.experts.includes(expert));
      const moved = weightMoved(before, after);
      addGate(layers, before, after, { lost, won });
      if (lost.length > 0)
        changes.push({ position, layer: before.layer, weight_moved: moved, baseline: before, candidate: after });
    }
  }
  for (const layer of layers.values()) {
    layer.gate_divergence_bits /= layer.tokens;
    layer.weight_lost = layer.weight_lost.map((weight) => weight / layer.tokens);
    layer.weight_moved = layer.weight_lost.reduce((sum, weight) => sum + weight, 0);
  }
  return { layers: [...layers.values()].sort((a, b) => a.layer - b.layer), changes };
}

function addGate(
  layers: Map<number, LayerDifference>,
  before: Gate,
  after: Gate,
  { lost, won }: { lost: number[]; won: number[] },
): void {
  const none = (): number[] => before.probabilities.map(() => 0);
  const into = layers.get(before.layer) ?? {
    layer: before.layer,
    tokens: 0,
    slots: 0,
    moved: 0,
    weight_moved: 0,
    gate_divergence_bits: 0,
    used: none(),
    lost: none(),
    won: none(),
    weight_lost: none(),
  };
  layers.set(before.layer, into);
  into.tokens++;
  into.slots += before.experts.length;
  into.moved += lost.length;
  for (const [rank, weight] of weightLost(before, after).entries()) {
    const expert = before.experts[rank] as number;
    into.weight_lost[expert] = (into.weight_lost[expert] ?? 0) + weight;
  }
  into.gate_divergence_bits += jensenShannon(before.probabilities, after.probabilities);
  for (const expert of before.experts) into.used[expert] = (into.used[expert] ?? 0) + 1;
  for (const expert of lost) into.lost[expert] = (into.lost[expert] ?? 0) + 1;
  for (const expert of won) into.won[expert] = (into.won[expert] ?? 0) + 1;
}

/** Changes with the most weight first; equal ones as they came. */
export function byWeight<G extends Gate>(changes: ReadonlyArray<Change<G>>): Array<Change<G>> {
  return [...changes].sort((a, b) => b.weight_moved - a.weight_moved);
}
