const BLOCK = 100;
const MULTIPLIER = 37n;
const MASK = (1n << 64n) - 1n;
const END_OF_FILE = 65_535;

/**
 * GitHub's `primaryLocationLineHash` of every line of a file (github/codeql-action, src/fingerprints.ts): a rolling hash of
 * the 100 characters (UTF-16 units) from the line's start, spaces and tabs left out, CR and CRLF as LF, 65535 after the last
 * character and then zeros; h = sum of c_i * 37^(99-i) mod 2^64 in hexadecimal, then `:` and the occurrence of that hash.
 * @returns one string a line, the first line at index 0; a text that ends with a line break has an empty last line
 */
export function lineHashes(text: string): readonly string[] {
  const { units, starts } = normalise(text);
  const first = (MULTIPLIER ** BigInt(BLOCK - 1)) & MASK;
  const wanted = new Set(starts);
  const at = (index: number): bigint => BigInt(index < units.length ? units[index]! : 0);
  let hash = 0n;
  for (let index = 0; index < BLOCK; index++) hash = (hash * MULTIPLIER + at(index)) & MASK;
  const seen = new Map<string, number>();
  const hashes: string[] = [];
  for (let start = 0; start < units.length; start++) {
    if (wanted.has(start)) {
      const hex = hash.toString(16);
      const occurrence = (seen.get(hex) ?? 0) + 1;
      seen.set(hex, occurrence);
      hashes.push(`${hex}:${occurrence}`);
    }
    hash = ((hash - at(start) * first) * MULTIPLIER + at(start + BLOCK)) & MASK;
  }
  return hashes;
}

function normalise(text: string): { units: number[]; starts: number[] } {
  const units: number[] = [];
  const starts = [0];
  for (let index = 0; index < text.length; index++) {
    let unit = text.charCodeAt(index);
    if (unit === 0x20 || unit === 0x09) continue;
    if (unit === 0x0d) {
      if (text.charCodeAt(index + 1) === 0x0a) index += 1;
      unit = 0x0a;
    }
    units.push(unit);
    if (unit === 0x0a) starts.push(units.length);
  }
  units.push(END_OF_FILE);
  return { units, starts };
}
