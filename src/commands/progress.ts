import type { Progress } from '../core/context.ts';

export interface ProgressOptions {
  readonly stream: NodeJS.WriteStream | NodeJS.WritableStream;
  readonly quiet: boolean;
}

/** Talk on stderr: a line a phase; on a terminal also a bar that is redrawn in place. */
export function stderrProgress({ stream, quiet }: ProgressOptions): Progress & { done(): void } {
  const tty = 'isTTY' in stream && stream.isTTY === true;
  let drawn = false;
  const clear = (): void => {
    if (drawn) stream.write('\r\u001b[2K');
    drawn = false;
  };
  return {
    step(message) {
      if (quiet) return;
      clear();
      stream.write(`${message}\n`);
    },
    warn(message) {
      clear();
      stream.write(`warning: ${message}\n`);
    },
    fraction(done, total, what) {
      if (quiet || !tty) return;
      const share = total > 0 ? Math.min(1, done / total) : 0;
      const filled = Math.round(share * 24);
      stream.write(`\r\u001b[2K[${'#'.repeat(filled)}${'.'.repeat(24 - filled)}] ${Math.round(share * 100)} % ${what}`);
      drawn = true;
    },
    done: clear,
  };
}
