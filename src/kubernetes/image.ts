/** A container image reference, by the grammar of the distribution project: `[host/]name[:tag][@digest]`. */
export interface ImageReference {
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

export function parseImage(text: string): ImageReference {
  const at = text.indexOf('@');
  const digest = at === -1 ? undefined : text.slice(at + 1);
  const named = at === -1 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(':');
  // A colon before the last slash belongs to a port of the registry host.
  const tagged = colon > named.lastIndexOf('/');
  return { repository: tagged ? named.slice(0, colon) : named, tag: tagged ? named.slice(colon + 1) : undefined, digest };
}

/** Whether two pulls of this reference may bring different bytes: no digest, and `latest` or no tag. */
export function isMoving(image: ImageReference): boolean {
  return image.digest === undefined && (image.tag === undefined || image.tag === 'latest');
}
