/** A bundle that cannot be used. */
export class BundleError extends Error {}
