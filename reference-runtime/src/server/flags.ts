// Feature flags as the policy sees them: a flag of the catalogue is its default again from the day it expires.
import type { RuntimeConfig } from '../config/types.ts';

export type FlagValues = Record<string, boolean | string | number>;

/** The flags at one time. */
export interface FlagState {
  values: FlagValues;
  /** Those that have expired, in the catalogue's order. */
  expired: string[];
}

/** The flags' state, made anew only when one of them expires. */
export class Flags {
  readonly #config: Pick<RuntimeConfig, 'flags' | 'catalog'>;
  #state: FlagState | undefined;
  /** Until when `#state` is right, in milliseconds since the epoch. */
  #untilMs = Number.NEGATIVE_INFINITY;

  constructor(config: Pick<RuntimeConfig, 'flags' | 'catalog'>) {
    this.#config = config;
  }

  at(nowMs: number): FlagState {
    if (this.#state !== undefined && nowMs < this.#untilMs) return this.#state;
    const { flags } = this.#config.catalog;
    if (flags === undefined) {
      this.#untilMs = Number.POSITIVE_INFINITY;
      this.#state = { values: this.#config.flags, expired: [] };
      return this.#state;
    }
    const ended = (expiresMs: number): boolean => expiresMs <= nowMs;
    this.#untilMs = Math.min(
      Number.POSITIVE_INFINITY,
      ...flags.flatMap(({ expiresMs }) => (ended(expiresMs) ? [] : [expiresMs])),
    );
    this.#state = {
      values: Object.fromEntries(flags.map((flag) => [flag.id, ended(flag.expiresMs) ? flag.fallback : flag.value])),
      expired: flags.filter(({ expiresMs }) => ended(expiresMs)).map(({ id }) => id),
    };
    return this.#state;
  }
}
