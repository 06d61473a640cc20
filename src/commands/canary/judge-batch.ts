import { createReadStream, fstatSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { ConfigurationError } from '../../core/errors.ts';
import { EXIT } from '../../core/verdict.ts';
import type { CommandOutcome, Invocation } from '../framework.ts';

/** Cases in, verdicts out, a line each, while they come. */
export async function judgeBatchFile(invocation: Invocation, batch: string): Promise<CommandOutcome> {
  const { judgeStream } = await import('../../canary/batch.ts');
  const input = batch === '-' ? (invocation.stdin as Readable) : createReadStream(resolve(invocation.dir, batch));
  await new Promise<void>((done, fail) => {
    if (batch === '-') done();
    else {
      // A folder opens like a file and fails at the first read.
      input.once('open', (fd: number) => (fstatSync(fd).isDirectory() ? input.destroy(new Error('it is a folder')) : done()));
      input.once('error', (cause: NodeJS.ErrnoException) =>
        fail(
          new ConfigurationError(
            {
              message: `cannot be read: ${unreadable(cause)}.`,
              location: { file: batch },
              expected: 'NDJSON, a case a line',
            },
            { cause },
          ),
        ),
      );
    }
  });
  return {
    stream: async (write) => {
      const summary = await judgeStream(input, write);
      if (summary.cases === 0)
        throw new ConfigurationError({
          message: 'there are no cases.',
          location: { file: batch },
          expected: 'NDJSON, a case a line',
        });
      const counts = Object.entries(summary.verdicts).filter(([, count]) => count > 0);
      invocation.progress.step(`${summary.cases} cases: ${counts.map(([verdict, count]) => `${count} ${verdict}`).join(', ')}`);
      return summary.verdicts.error > 0 ? EXIT.error : EXIT.ok;
    },
  };
}

function unreadable(cause: NodeJS.ErrnoException): string {
  return cause.code === 'ENOENT' ? 'there is no such file' : cause.message;
}
