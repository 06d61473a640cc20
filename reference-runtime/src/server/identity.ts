// Stage 1: who is asking. Zero trust: no identity, no service; only --dev has a built-in one, on loopback.
import { hash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { errors, type JWTPayload, type JWTVerifyOptions, type JWTVerifyResult, jwtVerify } from 'jose';
import type { JwtConfig, MtlsConfig, RuntimeConfig } from '../config/types.ts';
import { type ClientCertificate, clientCertificate } from './certificate.ts';
import { HttpError, unauthorized, unavailable } from './errors.ts';
import { type KeySource, KeysUnavailable, keySource } from './jwks.ts';

/** Who a request is from. */
export interface Identity {
  tenant: string;
  workload: string;
}

/** What a request shows of its sender. */
export interface Credentials {
  authorization: string | undefined;
  certificate: ClientCertificate | undefined;
}

export type Identify = (credentials: Credentials) => Promise<Identity>;

/** What a request shows. */
export function credentialsOf(request: FastifyRequest): Credentials {
  return { authorization: request.headers.authorization, certificate: clientCertificate(request.raw.socket) };
}

const CLOCK_TOLERANCE_S = 5;
const MAX_TOKEN_CHARS = 16_384;

/** A token that was verified is taken again for so long: a signature costs more than all other stages together. */
const VERIFIED_MS = 60_000;
const VERIFIED_LIMIT = 4096;

interface Verified {
  identity: Identity;
  /** Of the wall clock. */
  until: number;
  version: number;
}

/** Tokens that were verified, by digest: while they are valid, the keys are the same and the minute is not over. */
class VerifiedTokens {
  readonly #tokens = new Map<string, Verified>();

  get(digest: string, version: number): Identity | undefined {
    const known = this.#tokens.get(digest);
    if (known === undefined) return undefined;
    if (known.version === version && Date.now() < known.until) return known.identity;
    this.#tokens.delete(digest);
    return undefined;
  }

  /** @param expires seconds since the epoch */
  set(digest: string, version: number, identity: Identity, expires: number): void {
    // The oldest goes: a Map keeps the order of insertion.
    const [oldest] = this.#tokens.keys();
    if (this.#tokens.size >= VERIFIED_LIMIT && oldest !== undefined) this.#tokens.delete(oldest);
    const until = Math.min(Date.now() + VERIFIED_MS, (expires + CLOCK_TOLERANCE_S) * 1000);
    this.#tokens.set(digest, { identity, until, version });
  }
}

/** The identity stage for a configuration. @throws ConfigurationError for a JWKS file that is none */
export function identityStage(config: RuntimeConfig['identity'], log: (message: string) => void = () => {}): Identify {
  if (config.dev === true) return async () => ({ tenant: 'dev', workload: 'dev' });
  const byDigest = new Map((config.tokens ?? []).map((token) => [token.sha256, token]));
  const jwt = config.jwt;
  const source = jwt === undefined ? undefined : keySource(jwt, log);
  if (jwt !== undefined && jwt.audience === undefined)
    log('identity.jwt has no audience: what the issuer made for any other service is taken here as well');
  const verified = new VerifiedTokens();
  // Clients of OpenAI always send a key. Where no token can be known, it is none of an identity.
  const certificateOnly = jwt === undefined && byDigest.size === 0;
  return async ({ authorization, certificate }) => {
    if (config.mtls !== undefined && (authorization === undefined || certificateOnly))
      return fromCertificate(certificate, config.mtls);
    const bearer = /^Bearer (?<token>[A-Za-z0-9._~+/=-]+)$/i.exec(authorization ?? '')?.groups?.['token'];
    if (bearer === undefined) throw unauthorized('an Authorization header with a bearer token is needed');
    if (bearer.length > MAX_TOKEN_CHARS) throw unauthorized('the bearer token is too long');
    // Looked up by digest: the comparison leaks nothing about the token.
    const digest = hash('sha256', bearer);
    const known = byDigest.get(digest);
    if (known !== undefined) return { tenant: known.tenant, workload: known.workload ?? known.tenant };
    if (jwt === undefined || source === undefined) throw unauthorized('the bearer token is not known');
    const version = await keysOf(() => source.version());
    const before = verified.get(digest, version);
    if (before !== undefined) return before;
    const { identity, expires } = await verify(bearer, jwt, source);
    // Not under keys that it was not verified by.
    if ((await keysOf(() => source.version())) === version) verified.set(digest, version, identity, expires);
    return identity;
  };
}

/** The identity that a client's certificate gives. A connection outlives its handshake, so that expiry is looked at again. */
function fromCertificate(certificate: ClientCertificate | undefined, { tenantFrom, trustDomain }: MtlsConfig): Identity {
  if (certificate === undefined) throw unauthorized('a client certificate or a bearer token is needed');
  if (certificate.problem !== undefined) throw unauthorized(`the client certificate is not trusted: ${certificate.problem}`);
  if (certificate.expires.getTime() < Date.now()) throw unauthorized('the client certificate has expired');
  const tenants = certificate.subject.get(tenantFrom) ?? [];
  if (tenants.length !== 1 || tenants[0] === '')
    throw unauthorized(
      `the client certificate names ${tenants.length === 0 ? 'no' : 'more than one'} ${tenantFrom}, which is the tenant`,
    );
  const tenant = tenants[0]!;
  if (trustDomain === undefined) return { tenant, workload: certificate.uris[0] ?? certificate.subject.get('CN')?.[0] ?? tenant };
  // SPIFFE-ID section 2: exactly one URI, in the trust domain.
  const [id, ...more] = certificate.uris;
  if (id === undefined || more.length > 0 || !id.startsWith(`spiffe://${trustDomain}/`))
    throw unauthorized(`the client certificate has no SPIFFE id of the trust domain ${trustDomain}`);
  return { tenant, workload: id };
}

/** What keys give; that there are none is an outage. @throws HttpError 503 */
async function keysOf<T>(ask: () => T | Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof KeysUnavailable)
      throw unavailable('identity_unavailable', 'the key set of the token issuer cannot be reached', 'identity');
    throw error;
  }
}

/** A key set may have so many keys that fit one token: without a key id, or with one that several have. */
const MAX_TRIED = 16;

/** Verifies by the key that the token names, or by each of those that it may mean (RFC 7515, section 6: a key id is optional). */
async function verifyByAny(token: string, source: KeySource, options: JWTVerifyOptions): Promise<JWTVerifyResult> {
  try {
    return await jwtVerify(token, source.keys, options);
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    let last: unknown = error;
    let tried = 0;
    for await (const key of error) {
      if (++tried > MAX_TRIED) break;
      try {
        return await jwtVerify(token, key, options);
      } catch (failure) {
        if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure;
        last = failure;
      }
    }
    throw last;
  }
}

async function verify(token: string, config: JwtConfig, source: KeySource): Promise<{ identity: Identity; expires: number }> {
  const options = {
    algorithms: config.algorithms,
    clockTolerance: CLOCK_TOLERANCE_S,
    requiredClaims: ['exp'],
    ...(config.issuer === undefined ? {} : { issuer: config.issuer }),
    ...(config.audience === undefined ? {} : { audience: config.audience }),
  };
  const verified = async (): Promise<JWTPayload> => {
    try {
      return (await verifyByAny(token, source, options)).payload;
    } catch (error) {
      // Keys may be new since the set was read.
      const missing = error instanceof errors.JWKSNoMatchingKey;
      if (missing && (await keysOf(() => source.renew()))) return (await verifyByAny(token, source, options)).payload;
      throw error;
    }
  };
  let payload: JWTPayload;
  try {
    payload = await verified();
  } catch (error) {
    if (error instanceof HttpError) throw error;
    throw unauthorized(
      `the bearer token is not valid: ${error instanceof errors.JOSEError ? error.message : 'verification failed'}`,
    );
  }
  const tenant = claimOf(payload, config.tenantClaim);
  if (typeof tenant !== 'string' || tenant === '') throw unauthorized(`the bearer token has no claim ${config.tenantClaim}`);
  if (!TENANT.test(tenant)) throw unauthorized(`the bearer token's claim ${config.tenantClaim} is no name of a tenant`);
  const identity = { tenant, workload: typeof payload.sub === 'string' ? payload.sub : tenant };
  // Claim `exp` is required above.
  return { identity, expires: payload.exp as number };
}

/** A label of metrics, a line in logs, a header: one line of at most 256 characters. */
const TENANT = /^[^\p{Cc}]{1,256}$/u;

/** A claim by its name, or by a JSON pointer (RFC 6901) into what a claim holds: `/kubernetes.io/namespace`. */
function claimOf(payload: JWTPayload, name: string): unknown {
  if (!name.startsWith('/')) return payload[name];
  let at: unknown = payload;
  for (const part of name.slice(1).split('/')) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string, unknown>)[key];
  }
  return at;
}
