/**
 * How far samples of one prompt agree: the mean over all pairs of the Jaccard index of their word sets, 0..1; undefined for fewer
 * than two. Words are runs of letters and digits, lower-cased. Disagreement between samples is the cheap local sign of
 * made-up answers (self-consistency: Wang et al. 2023, arXiv:2203.11171; SelfCheckGPT: Manakul et al. 2023, arXiv:2303.08896).
 */
export function agreement(texts: readonly string[]): number | undefined {
  if (texts.length < 2) return undefined;
  const sets = texts.map((text) => new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []));
  let sum = 0;
  let pairs = 0;
  for (let i = 0; i < sets.length; i += 1)
    for (let j = i + 1; j < sets.length; j += 1) {
      const [a, b] = [sets[i]!, sets[j]!];
      const both = [...a].filter((word) => b.has(word)).length;
      const either = a.size + b.size - both;
      sum += either === 0 ? 1 : both / either;
      pairs += 1;
    }
  return sum / pairs;
}
