/**
 * Anytime-valid bounds: valid at every sample size at once, so that one may look as often as one likes. Sources: Howard, Ramdas,
 * McAuliffe, Sekhon 2021 (time-uniform confidence sequences).
 */

/**
 * One-sided normal-mixture boundary for z = S_t / sqrt(V_t) at intrinsic time v (1 = one observation's variance), tightest near
 * `vOpt` (Robbins 1970; Howard et al. 2021, eq. 14). The path exceeds it at any time with probability at most alpha.
 */
export function mixtureBoundaryZ(v: number, vOpt: number, alpha: number): number {
  const rho = mixtureRho(vOpt, alpha);
  return Math.sqrt(((v + rho) / v) * Math.log((v + rho) / (4 * alpha * alpha * rho)));
}

/** Anytime-valid one-sided p-value for z at intrinsic time v. */
export function mixturePValue(z: number, v: number, vOpt: number, alpha: number): number {
  if (!(z > 0)) return 1;
  const rho = mixtureRho(vOpt, alpha);
  return Math.min(1, 0.5 * Math.sqrt((v + rho) / rho) * Math.exp((-z * z * v) / (2 * (v + rho))));
}

function mixtureRho(vOpt: number, alpha: number): number {
  const log = Math.log(1 / (4 * alpha * alpha));
  return vOpt / (Math.max(log, 0.5) + Math.log(1 + Math.max(log, 0.5)));
}
