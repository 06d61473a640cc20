/** Whether an address to listen on is this machine's own alone. */
export function isLoopback(address: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(address);
}

/** What a request says about where it comes from. */
export interface RequestOrigin {
  readonly host?: string | undefined;
  readonly 'sec-fetch-site'?: string | string[] | undefined;
  readonly 'sec-fetch-mode'?: string | string[] | undefined;
}

/**
 * Whether a request to a server that listens on loopback and asks nobody who he is may come from a page of somebody else that is open in
 * a browser: it names another host (DNS rebinding), or the browser says that another site made it (Fetch Metadata Request Headers,
 * W3C, `Sec-Fetch-Site`). A link that a person follows is none of that: the page it is on sees nothing of the answer.
 */
export function isForeign(headers: RequestOrigin): boolean {
  const host = (headers.host ?? '').replace(/:\d*$/, '');
  const site = headers['sec-fetch-site'];
  const linked = headers['sec-fetch-mode'] === 'navigate';
  return !isLoopback(host) || (site !== undefined && site !== 'same-origin' && site !== 'none' && !linked);
}
