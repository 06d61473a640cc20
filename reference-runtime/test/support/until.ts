import { setTimeout as pause } from 'node:timers/promises';

/** Less than a test may take: what never comes true is then said by its test, and not by a timeout. */
const LIMIT_MS = 150_000;

/** Waits until a condition holds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const limit = Date.now() + LIMIT_MS;
  while (!(await condition())) {
    if (Date.now() > limit) throw new Error(`the condition did not become true in ${LIMIT_MS / 1000} s: ${condition}`);
    await pause(10);
  }
}
