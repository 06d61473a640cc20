// Stage 1: who is asking. Zero trust: no identity, no service; only --dev has a built-in one, on loopback.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createLocalJWKSet, createRemoteJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { ConfigurationError } from '../config/load.ts';
import type { JwtConfig, RuntimeConfig } from '../config/types.ts';
import { unauthorized, unavailable } from './errors.ts';

/** Who a request is from. */
export interface Identity {
  tenant: string;
  workload: string;
}

export type Identify = (authorization: string | undefined) => Promise<Identity>;

const CLOCK_TOLERANCE_S = 5;
const MAX_TOKEN_CHARS = 16_384;

function keySource(config: JwtConfig): JWTVerifyGetKey {
  if (/^https?:\/\//.test(config.jwks)) return createRemoteJWKSet(new URL(config.jwks), { timeoutDuration: 5000 });
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(config.jwks, 'utf8'));
  } catch (error) {
    throw new ConfigurationError([`${config.jwks}: not a JWKS file: ${error instanceof Error ? error.message : String(error)}`]);
  }
  if (
    typeof parsed !== 'object' ||
    parsed === null ||
    !('keys' in parsed) ||
    !Array.isArray(parsed.keys) ||
    parsed.keys.length === 0
  ) {
    throw new ConfigurationError([`${config.jwks}: expected {"keys": [...]} with at least one key (RFC 7517)`]);
  }
  return createLocalJWKSet(parsed as JSONWebKeySet);
}

/** The identity stage for a configuration. @throws ConfigurationError for a JWKS file that is none */
export function identityStage(config: RuntimeConfig['identity']): Identify {
  if (config.dev === true) return async () => ({ tenant: 'dev', workload: 'dev' });
  const byDigest = new Map((config.tokens ?? []).map((token) => [token.sha256, token]));
  const jwt = config.jwt;
  const keys = jwt === undefined ? undefined : keySource(jwt);
  return async (authorization) => {
    const bearer = /^Bearer (?<token>[A-Za-z0-9._~+/=-]+)$/i.exec(authorization ?? '')?.groups?.['token'];
    if (bearer === undefined) throw unauthorized('an Authorization header with a bearer token is needed');
    if (bearer.length > MAX_TOKEN_CHARS) throw unauthorized('the bearer token is too long');
    // Looked up by digest: the comparison leaks nothing about the token.
    const known = byDigest.get(createHash('sha256').update(bearer).digest('hex'));
    if (known !== undefined) return { tenant: known.tenant, workload: known.workload ?? known.tenant };
    if (jwt === undefined || keys === undefined) throw unauthorized('the bearer token is not known');
    return verify(bearer, jwt, keys);
  };
}

async function verify(token: string, config: JwtConfig, keys: JWTVerifyGetKey): Promise<Identity> {
  let payload: Record<string, unknown>;
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
    if (error instanceof errors.JWKSTimeout || (error instanceof TypeError && !(error instanceof errors.JOSEError))) {
      throw unavailable('identity_unavailable', 'the key set of the token issuer cannot be reached', 'identity');
    }
    throw unauthorized(
      `the bearer token is not valid: ${error instanceof errors.JOSEError ? error.message : 'verification failed'}`,
    );
  }
  const tenant = payload[config.tenantClaim];
  if (typeof tenant !== 'string' || tenant === '') throw unauthorized(`the bearer token has no claim ${config.tenantClaim}`);
  return { tenant, workload: typeof payload['sub'] === 'string' ? payload['sub'] : tenant };
}
