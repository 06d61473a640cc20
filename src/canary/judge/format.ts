/** An effect for people: `+12.3 %` or `-0.0042`; infinities as `unbounded`. */
export function formatEffect(value: number, unit: 'relative' | 'absolute'): string {
  if (!Number.isFinite(value)) return 'unbounded';
  const sign = value < 0 ? '-' : '+';
  const size = Math.abs(value);
  if (unit === 'relative') {
    const percent = size * 100;
    return `${sign}${percent >= 100 ? percent.toFixed(0) : percent.toFixed(1)} %`;
  }
  return `${sign}${Number(size.toPrecision(3))}`;
}
