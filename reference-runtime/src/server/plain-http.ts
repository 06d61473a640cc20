// What decides who is let in and where requests go, and comes over the network without TLS: said at start.
import type { RuntimeConfig } from '../config/types.ts';

function isPlainRemote(url: string | undefined): boolean {
  if (url === undefined || !/^http:\/\//i.test(url)) return false;
  const { hostname } = new URL(url);
  return !/^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname);
}

/** A line for each such URL of the configuration; whoever is on the way can answer in its place. */
export function plainHttp({ identity, policy }: Pick<RuntimeConfig, 'identity' | 'policy'>): string[] {
  const jwks = identity.jwt?.jwks;
  return [
    ...(isPlainRemote(jwks) ? [`identity.jwt.jwks comes without TLS: whoever is on the way can put keys in (${jwks})`] : []),
    ...policy.sources
      .filter(({ url, verify }) => verify === undefined && isPlainRemote(url))
      .map(
        ({ name, url }) => `policy source ${name} comes without TLS and is not verified: whoever is on the way decides (${url})`,
      ),
  ];
}
