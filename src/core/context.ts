/**
 * What commands pass down to gates besides their inputs. Everything that makes two runs differ (time, randomness,
 * progress on a terminal) comes in through here, so that the gates stay pure.
 */
export interface RunContext {
  /** Non-negative 32-bit integer; default derived from the head commit. */
  readonly seed: number;
  /** Now, as an ISO 8601 UTC instant; only for rules about age and expiry. */
  readonly now: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Talk on stderr: phases of long work, and warnings that aren't findings. */
export interface Progress {
  step(message: string): void;
  warn(message: string): void;
  /** 0..1; drawn only on a terminal. */
  fraction(done: number, total: number, what: string): void;
}

export const silentProgress: Progress = { step() {}, warn() {}, fraction() {} };
