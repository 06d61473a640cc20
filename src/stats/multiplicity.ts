/** Holm's step-down adjusted p-values: strong family-wise control under any dependence (Holm 1979). Order of the input is kept. */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a]! - pValues[b]! || a - b);
  const adjusted = new Array<number>(pValues.length);
  let running = 0;
  order.forEach((index, position) => {
    running = Math.max(running, Math.min(1, (pValues.length - position) * pValues[index]!));
    adjusted[index] = running;
  });
  return adjusted;
}
