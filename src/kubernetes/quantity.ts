/** Powers of the suffixes of apimachinery's resource.Quantity. */
const DECIMAL: { readonly [suffix: string]: number } = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const BINARY: { readonly [suffix: string]: bigint } = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n };

/** Everything is kept in units of 10^-24 (bounded input: 24 digits each side), exactly. */
const SCALE = 24;
const ONE = 10n ** BigInt(SCALE);

const PATTERN =
  /^(?<sign>[+-]?)(?<whole>\d{0,24})(?:\.(?<fraction>\d{0,15}))?(?<suffix>n|u|m|k|M|G|T|P|E|[KMGTPE]i|[eE][+-]?\d{1,2})?$/;

/**
 * A Kubernetes quantity as an exact number in units of 10^-24; undefined when the text is none.
 * Grammar: apimachinery `resource.Quantity`.
 */
export function parseQuantity(value: string | number): bigint | undefined {
  const match = PATTERN.exec(String(value));
  if (match === null) return undefined;
  const { sign = '', whole = '', fraction = '', suffix = '' } = match.groups!;
  if (whole === '' && fraction === '') return undefined;
  const digits = BigInt(`${whole}${fraction}`);
  const binary = BINARY[suffix];
  const exponent = binary !== undefined ? 0 : /^[eE]\S/.test(suffix) ? Number(suffix.slice(1)) : (DECIMAL[suffix] ?? 0);
  const power = SCALE + exponent - fraction.length;
  if (power < 0 || power > 200) return undefined;
  const scaled = digits * 10n ** BigInt(power) * (binary === undefined ? 1n : 1n << binary);
  return sign === '-' ? -scaled : scaled;
}

/** One text for every way to write the same amount: `1000m` → `1`, `3072Mi` → `3Gi`, `1000M` → `1G`; other text stays. */
export function canonicalQuantity(value: string | number): string {
  const amount = parseQuantity(value);
  if (amount === undefined) return String(value);
  if (amount === 0n) return '0';
  const sign = amount < 0n ? '-' : '';
  const size = amount < 0n ? -amount : amount;
  const decimal = decimalForm(size);
  const binary = binaryForm(size);
  return sign + (binary !== undefined && binary.length < decimal.length ? binary : decimal);
}

function decimalForm(size: bigint): string {
  for (const [suffix, power] of Object.entries(DECIMAL).sort(([, a], [, b]) => b - a)) {
    const unit = 10n ** BigInt(SCALE + power);
    if (size % unit === 0n) return `${size / unit}${suffix}`;
  }
  return `${size}e-${SCALE}`;
}

function binaryForm(size: bigint): string | undefined {
  for (const [suffix, power] of Object.entries(BINARY).reverse()) {
    const unit = ONE << power;
    if (size % unit === 0n) return `${size / unit}${suffix}`;
  }
  return undefined;
}

const DURATION = /^(?:\d{1,5}(?:h|ms|m|s)){1,4}$/;
const MILLISECONDS: { readonly [unit: string]: number } = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** A Gateway API duration (GEP-2257) in milliseconds, as text: `1m` and `60s` are both `60000ms`; other text stays. */
export function canonicalDuration(value: string): string {
  if (!DURATION.test(value)) return value;
  let total = 0;
  for (const part of value.matchAll(/(?<count>\d+)(?<unit>h|ms|m|s)/g))
    total += Number(part.groups!['count']) * MILLISECONDS[part.groups!['unit']!]!;
  return `${total}ms`;
}
