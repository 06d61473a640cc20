// Stage 1: who is asking. Zero trust: no identity, no service; only --dev has a built-in one, on loopback.
import { hash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { FastifyRequest } from 'fastify';
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';
import { ConfigurationError } from '../config/load.ts';
import type { JwtConfig, MtlsConfig, RuntimeConfig } from '../config/types.ts';
import { type ClientCertificate, clientCertificate } from './certificate.ts';
import { unauthorized, unavailable } from './errors.ts';

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

/** Keys of an issuer; `version` changes when they do, as far as that can be seen. */
interface KeySource {
  keys: JWTVerifyGetKey;
  version(): number;
}

function keySource(config: JwtConfig, log: (message: string) => void): KeySource {
  if (/^https?:\/\//.test(config.jwks))
    return { keys: createRemoteJWKSet(new URL(config.jwks), { timeoutDuration: 5000 }), version: () => 0 };
  const file = config.jwks;
  let keys = keySet(file);
  let version = statSync(file).mtimeMs;
  let checked = performance.now();
  // Keys are rotated by writing the file: looked at again, at most once a second. A broken file leaves the keys that are known, and is
  // said to be broken once for each time that it is written.
  let broken = version;
  const refresh = (): number => {
    if (performance.now() - checked > JWKS_CHECK_MS) {
      checked = performance.now();
      let now = 0;
      try {
        now = statSync(file).mtimeMs;
        if (now !== version) keys = keySet(file);
        version = now;
        broken = now;
      } catch (error) {
        if (now !== broken)
          log(`keys not renewed, the known ones stay: ${error instanceof Error ? error.message : String(error)}`);
        broken = now;
      }
    }
    return version;
  };
  return {
    keys: (header, token) => {
      refresh();
      return keys(header, token);
    },
    version: refresh,
  };
}

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

const JWKS_CHECK_MS = 1000;

function keySet(file: string): JWTVerifyGetKey {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new ConfigurationError([`${file}: not a JWKS file: ${error instanceof Error ? error.message : String(error)}`]);
  }
  if (
    typeof parsed !== 'object' ||
    parsed === null ||
    !('keys' in parsed) ||
    !Array.isArray(parsed.keys) ||
    parsed.keys.length === 0
  ) {
    throw new ConfigurationError([`${file}: expected {"keys": [...]} with at least one key (RFC 7517)`]);
  }
  return createLocalJWKSet(parsed as JSONWebKeySet);
}

/** The identity stage for a configuration. @throws ConfigurationError for a JWKS file that is none */
export function identityStage(config: RuntimeConfig['identity'], log: (message: string) => void = () => {}): Identify {
  if (config.dev === true) return async () => ({ tenant: 'dev', workload: 'dev' });
  const byDigest = new Map((config.tokens ?? []).map((token) => [token.sha256, token]));
  const jwt = config.jwt;
  const source = jwt === undefined ? undefined : keySource(jwt, log);
  const verified = new VerifiedTokens();
  return async ({ authorization, certificate }) => {
    if (config.mtls !== undefined && authorization === undefined) return fromCertificate(certificate, config.mtls);
    const bearer = /^Bearer (?<token>[A-Za-z0-9._~+/=-]+)$/i.exec(authorization ?? '')?.groups?.['token'];
    if (bearer === undefined) throw unauthorized('an Authorization header with a bearer token is needed');
    if (bearer.length > MAX_TOKEN_CHARS) throw unauthorized('the bearer token is too long');
    // Looked up by digest: the comparison leaks nothing about the token.
    const digest = hash('sha256', bearer);
    const known = byDigest.get(digest);
    if (known !== undefined) return { tenant: known.tenant, workload: known.workload ?? known.tenant };
    if (jwt === undefined || source === undefined) throw unauthorized('the bearer token is not known');
    const version = source.version();
    const before = verified.get(digest, version);
    if (before !== undefined) return before;
    const { identity, expires } = await verify(bearer, jwt, source.keys);
    verified.set(digest, version, identity, expires);
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

/** Whether the key set could not be had: no connection, no answer in time, or one that is no key set. Of the token that says nothing. */
function isIssuerAway(error: unknown): boolean {
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return true;
  if (error instanceof errors.JOSEError) return error.code === errors.JOSEError.code;
  return error instanceof TypeError;
}

async function verify(token: string, config: JwtConfig, keys: JWTVerifyGetKey): Promise<{ identity: Identity; expires: number }> {
  let payload: JWTPayload;
  try {
    const result = await jwtVerify(token, keys, {
      algorithms: config.algorithms,
      clockTolerance: CLOCK_TOLERANCE_S,
      requiredClaims: ['exp'],
      ...(config.issuer === undefined ? {} : { issuer: config.issuer }),
      ...(config.audience === undefined ? {} : { audience: config.audience }),
    });
    payload = result.payload;
  } catch (error) {
    if (isIssuerAway(error)) {
      throw unavailable('identity_unavailable', 'the key set of the token issuer cannot be reached', 'identity');
    }
    throw unauthorized(
      `the bearer token is not valid: ${error instanceof errors.JOSEError ? error.message : 'verification failed'}`,
    );
  }
  const tenant = payload[config.tenantClaim];
  if (typeof tenant !== 'string' || tenant === '') throw unauthorized(`the bearer token has no claim ${config.tenantClaim}`);
  const identity = { tenant, workload: typeof payload.sub === 'string' ? payload.sub : tenant };
  // Claim `exp` is required above.
  return { identity, expires: payload.exp as number };
}
