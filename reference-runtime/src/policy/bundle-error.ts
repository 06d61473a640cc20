/** A bundle that cannot be used. */
export class BundleError extends Error {}

/** A source that could not be asked: of its bundle that says nothing. */
export class SourceAway extends BundleError {}
