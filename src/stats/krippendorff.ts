/**
 * Krippendorff's alpha for two categories: 1 is perfect agreement, 0 what chance gives. Units may have different numbers of raters;
 * those with one do not count. Undefined without two labels to compare, or when only one category occurs.
 * Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability".
 */
export function krippendorffAlpha(units: readonly { readonly yes: number; readonly no: number }[]): number | undefined {
  let [observed, yes, no] = [0, 0, 0];
  for (const unit of units) {
    const raters = unit.yes + unit.no;
    if (raters < 2) continue;
    observed += (2 * unit.yes * unit.no) / (raters - 1);
    yes += unit.yes;
    no += unit.no;
  }
  const expected = (2 * yes * no) / (yes + no - 1);
  return yes === 0 || no === 0 ? undefined : 1 - observed / expected;
}
