import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { ConfigurationError, messageOf } from '../core/errors.ts';

/** Limits on one sample file: it may come from anywhere. */
const MAX_BYTES = 2 * 1024 ** 3;
const MAX_LINE_BYTES = 1024 ** 2;

export interface LineEnd {
  /** The compressed stream is damaged or ends early. */
  midStream: boolean;
  /** The last line has no newline. */
  noNewline: boolean;
}

/**
 * Lines of a text file, gunzipped when it starts with the gzip magic. One line at a time in memory. Stops with a ConfigurationError past
 * MAX_BYTES (after decompression) or MAX_LINE_BYTES. `end` tells, after the last line, how the file ended.
 */
export async function* sampleLines(file: string, end: LineEnd): AsyncGenerator<string> {
  const zipped = await isGzip(file);
  const source = createReadStream(file);
  const stream = zipped ? source.pipe(createGunzip()) : source;
  if (zipped) source.on('error', (error) => stream.destroy(error));
  const decoder = new TextDecoder();
  let rest = '';
  let bytes = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      bytes += chunk.byteLength;
      if (bytes > MAX_BYTES) throw tooLarge(file, `holds more than ${MAX_BYTES} bytes`);
      rest += decoder.decode(chunk, { stream: true });
      let start = 0;
      for (let at = rest.indexOf('\n'); at >= 0; at = rest.indexOf('\n', start)) {
        yield rest.slice(start, at).replace(/\r$/, '');
        start = at + 1;
      }
      rest = rest.slice(start);
      if (rest.length > MAX_LINE_BYTES) throw tooLarge(file, `has a line longer than ${MAX_LINE_BYTES} bytes`);
    }
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    // zlib reports a cut-off file as "unexpected end of file" and a damaged one as a data error: both mean the run's record is not whole.
    if (zipped) end.midStream = true;
    else throw new ConfigurationError({ message: `cannot read ${file}: ${messageOf(cause)}` }, { cause });
  } finally {
    source.destroy();
  }
  rest += decoder.decode();
  if (rest !== '') {
    end.noNewline = true;
    yield rest;
  }
}

function tooLarge(file: string, what: string): ConfigurationError {
  return new ConfigurationError({ message: `${file} ${what}.`, fix: 'judge fewer samples, or split the run.' });
}

async function isGzip(file: string): Promise<boolean> {
  try {
    const handle = await open(file);
    try {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(2), 0, 2, 0);
      return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
    } finally {
      await handle.close();
    }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : (cause as Error).message;
    throw new ConfigurationError(
      {
        message: `cannot read the samples ${file}: ${reason}.`,
        expected: 'an NDJSON file of `k6 run --out json=FILE` or a CSV file',
      },
      { cause },
    );
  }
}
