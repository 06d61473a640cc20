/** A number for a table: three significant digits, no exponent where none is needed. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(1);
  if (size >= 100) return Math.round(value).toString();
  return Number(value.toPrecision(3)).toString();
}

/** A share as per cent. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return '–';
  const value = share * 100;
  return value < 0.05 || value >= 9.95 ? value.toFixed(0) : value.toFixed(1);
}
