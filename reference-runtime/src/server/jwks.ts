// Keys of token issuers: a JWKS file that is read again when it is written, or a URL that is asked again in time (RFC 7517).
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { messageOf } from '../../../src/core/errors.ts';
import { readBounded } from '../../../src/core/read-bounded.ts';
import { ConfigurationError } from '../config/load.ts';
import type { JwtConfig } from '../config/types.ts';

/** The keys cannot be had, and none are known that may still be used. Of a token that says nothing. */
export class KeysUnavailable extends Error {}

/** Keys of an issuer. */
export interface KeySource {
  /** A number that changes when the keys do; they are brought up to date first. @throws KeysUnavailable */
  version(): number | Promise<number>;
  /** Of the keys that `version` left. */
  readonly keys: JWTVerifyGetKey;
  /** Asks again for keys because one is missing; true when they changed. @throws KeysUnavailable */
  renew(): Promise<boolean>;
}

export function keySource(config: JwtConfig, log: (message: string) => void): KeySource {
  return /^https?:\/\//.test(config.jwks)
    ? new RemoteKeys(config.jwks, config.jwksMaxAgeSeconds * 1000, log)
    : new KeyFile(config.jwks, log);
}

function isKeySet(value: unknown): value is JSONWebKeySet {
  return typeof value === 'object' && value !== null && 'keys' in value && Array.isArray(value.keys) && value.keys.length > 0;
}

const FILE_CHECK_MS = 1000;

/** Rotated by writing the file: looked at again at most once a second. A broken one leaves the keys that are known. */
class KeyFile implements KeySource {
  readonly #file: string;
  readonly #log: (message: string) => void;
  #keys: JWTVerifyGetKey;
  #version: number;
  /** When the file was written that was said to be broken: said once each time. */
  #broken: number;
  #checked = performance.now();

  /** @throws ConfigurationError for a file that is no JWKS */
  constructor(file: string, log: (message: string) => void) {
    this.#file = file;
    this.#log = log;
    this.#keys = keysOfFile(file);
    this.#version = statSync(file).mtimeMs;
    this.#broken = this.#version;
  }

  get keys(): JWTVerifyGetKey {
    return this.#keys;
  }

  version(): number {
    if (performance.now() - this.#checked <= FILE_CHECK_MS) return this.#version;
    this.#checked = performance.now();
    let now = 0;
    try {
      now = statSync(this.#file).mtimeMs;
      if (now !== this.#version) this.#keys = keysOfFile(this.#file);
      this.#version = now;
      this.#broken = now;
    } catch (error) {
      if (now !== this.#broken) this.#log(`keys not renewed, the known ones stay: ${messageOf(error)}`);
      this.#broken = now;
    }
    return this.#version;
  }

  async renew(): Promise<boolean> {
    return false;
  }
}

function keysOfFile(file: string): JWTVerifyGetKey {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new ConfigurationError([`${file}: not a JWKS file: ${messageOf(error)}`]);
  }
  if (!isKeySet(parsed)) throw new ConfigurationError([`${file}: expected {"keys": [...]} with at least one key (RFC 7517)`]);
  return createLocalJWKSet(parsed);
}

const TIMEOUT_MS = 5000;
const MAX_BYTES = 1024 * 1024;
/** A server that allows no caching at all is asked this often, and no more. */
const MIN_FRESH_MS = 10_000;
/** After an answer that was none, and for a key that is not there. */
const COOLDOWN_MS = 30_000;
/** From this part of their time on keys are asked for beside the requests, which do not wait. */
const EARLY = 0.8;

/**
 * Keys behind a URL. They are asked for again when they are no longer fresh by the answer's Cache-Control, and after `maxAgeMs` at the
 * latest. While the server is away the known ones serve until they are `maxAgeMs` old, and not longer: a key that was withdrawn at the
 * URL is never taken after that.
 */
class RemoteKeys implements KeySource {
  readonly #url: string;
  readonly #maxAgeMs: number;
  readonly #log: (message: string) => void;
  #keys: JWTVerifyGetKey | undefined;
  #digest = '';
  #version = 0;
  /** Of the wall clock: a machine that slept has old keys. */
  #asked = Number.NEGATIVE_INFINITY;
  #freshMs = 0;
  /** When an attempt failed last. */
  #failed = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;

  constructor(url: string, maxAgeMs: number, log: (message: string) => void) {
    this.#url = url;
    this.#maxAgeMs = maxAgeMs;
    this.#log = log;
  }

  get keys(): JWTVerifyGetKey {
    if (this.#keys === undefined) throw new KeysUnavailable(`${this.#url}: no keys are known`);
    return this.#keys;
  }

  version(): number | Promise<number> {
    const age = Date.now() - this.#asked;
    const usable = this.#keys !== undefined && age < this.#maxAgeMs;
    // Nobody waits a second time for a server that just failed, while the known keys may be used.
    const resting = usable && Date.now() - this.#failed < COOLDOWN_MS;
    if (usable && (age < this.#freshMs || resting)) {
      if (age >= this.#freshMs * EARLY && !resting) void this.#refresh().catch(() => {});
      return this.#version;
    }
    return this.#refresh().then(
      () => this.#version,
      (error: unknown) => {
        if (usable) return this.#version;
        throw error;
      },
    );
  }

  async renew(): Promise<boolean> {
    const now = Date.now();
    if (now - this.#asked < COOLDOWN_MS || now - this.#failed < COOLDOWN_MS) return false;
    const before = this.#version;
    await this.#refresh();
    return this.#version !== before;
  }

  #refresh(): Promise<void> {
    this.#running ??= this.#fetch().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #fetch(): Promise<void> {
    const asked = Date.now();
    try {
      const { text, freshMs } = await answerOf(this.#url);
      const parsed: unknown = JSON.parse(text);
      if (!isKeySet(parsed)) throw new Error('expected {"keys": [...]} with at least one key (RFC 7517)');
      const keys = createLocalJWKSet(parsed);
      const digest = createHash('sha256').update(text).digest('hex');
      if (digest !== this.#digest) this.#version++;
      this.#keys = keys;
      this.#digest = digest;
      this.#asked = asked;
      this.#freshMs = Math.min(this.#maxAgeMs, Math.max(MIN_FRESH_MS, freshMs));
      this.#failed = Number.NEGATIVE_INFINITY;
    } catch (error) {
      const why = `${this.#url}: ${reasonOf(error)}`;
      if (this.#keys !== undefined) this.#log(`keys not renewed, the known ones stay until they are too old: ${why}`);
      this.#failed = Date.now();
      throw new KeysUnavailable(why);
    }
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** The body, bounded, and for how long the server says that it is fresh: infinite where it says nothing. */
async function answerOf(url: string): Promise<{ text: string; freshMs: number }> {
  const response = await fetch(url, {
    headers: { accept: 'application/jwk-set+json, application/json' },
    // Whose keys are taken is what the configuration says.
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`HTTP ${response.status}`);
  }
  const bytes = await readBounded(response.body, MAX_BYTES, () => new Error(`more than ${MAX_BYTES} bytes`));
  return { text: bytes.toString('utf8'), freshMs: freshnessMs(response.headers) };
}

/** RFC 9111, section 4.2: max-age less the age that a cache on the way says; 0 for what must not be kept. */
function freshnessMs(headers: Headers): number {
  const control = headers.get('cache-control') ?? '';
  if (/(?:^|,)\s*no-(?:store|cache)\s*(?:,|$)/i.test(control)) return 0;
  const maxAge = /(?:^|,)\s*max-age="?(?<seconds>\d{1,10})/i.exec(control)?.groups?.['seconds'];
  if (maxAge === undefined) return Number.POSITIVE_INFINITY;
  const age = /^\d{1,10}$/.exec(headers.get('age') ?? '')?.[0] ?? '0';
  return Math.max(0, Number(maxAge) - Number(age)) * 1000;
}
