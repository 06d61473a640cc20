const UNITS: { readonly [unit: string]: number } = {
  '': 1,
  k: 1e3,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** `80GiB`, `80Gi`, `80GB`, `80G`, `1024`: bytes. Two letters with `i` are powers of 1024, as IEC 80000-13 says. Undefined for other text. */
export function parseBytes(text: string): number | undefined {
  const match = /^(?<number>\d{1,15}(?:\.\d{1,6})?)\s?(?<unit>[kKMGT]i?)?B?$/.exec(text.trim());
  if (match === null) return undefined;
  const bytes = Number(match.groups!['number']) * UNITS[match.groups!['unit'] ?? '']!;
  return Number.isSafeInteger(Math.round(bytes)) ? Math.round(bytes) : undefined;
}

/** `43.50 GiB`, `5.66 MiB`. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ['TiB', 2 ** 40],
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const)
    if (bytes >= size) return `${(bytes / size).toFixed(2)} ${unit}`;
  return `${Math.round(bytes)} B`;
}
