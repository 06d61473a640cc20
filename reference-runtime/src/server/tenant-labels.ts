/** Tenants that get a label of their own beyond those of the configuration, first come first served; the rest is `_OTHER`. */
const MAX_TENANTS = 100;

/** Names of tenants as labels: a bounded number of them. */
export class TenantLabels {
  readonly #configured: ReadonlySet<string>;
  readonly #seen = new Set<string>();

  constructor(tenants: Iterable<string>) {
    this.#configured = new Set(tenants);
  }

  /** @param admitted whether a policy served the tenant: nobody gets a label by being refused */
  of(tenant: string | undefined, admitted: boolean): string {
    if (tenant === undefined) return '_unidentified';
    if (this.#configured.has(tenant) || this.#seen.has(tenant)) return tenant;
    if (!admitted) return '_default';
    if (this.#seen.size >= MAX_TENANTS) return '_OTHER';
    this.#seen.add(tenant);
    return tenant;
  }
}
