/**
 * The bytes of a body from outside, at most `maxBytes` of them: what comes after is not read.
 * @throws what `tooLarge` makes, when there are more
 */
export async function readBounded(
  body: AsyncIterable<Uint8Array | string> | null,
  maxBytes: number,
  tooLarge: () => Error,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    size += bytes.byteLength;
    if (size > maxBytes) throw tooLarge();
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}
