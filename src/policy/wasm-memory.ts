// Imports nothing: the runtime uses it too, and its images copy this file alone (docs/decisions/0012).

/**
 * Smallest memory that a module's imported memory asks for, in pages of 64 KiB: its constants and its stack. A host that
 * brings less can't instantiate the module. 0 when no memory is imported, or the bytes are no module.
 * WebAssembly core specification 2.0, section 5.5.5 (import section).
 */
export function memoryMinimum(bytes: Uint8Array): number {
  let at = 8;
  const unsigned = (): number => {
    let result = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      result += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) return result;
    }
  };
  // `at += unsigned()` would read `at` before the call moves it.
  const skip = (): void => {
    const length = unsigned();
    at += length;
  };
  while (at < bytes.length) {
    const section = bytes[at++];
    const size = unsigned();
    if (section !== 2) {
      at += size;
      continue;
    }
    // A count in broken bytes may be any number.
    for (let count = unsigned(); count > 0 && at < bytes.length; count -= 1) {
      skip();
      skip();
      const kind = bytes[at++];
      if (kind === 0) unsigned();
      else if (kind === 1) {
        at += 1;
        limits();
      } else if (kind === 2) return limits();
      else at += 2;
    }
    return 0;
  }
  return 0;
  function limits(): number {
    const flags = bytes[at++]!;
    const minimum = unsigned();
    if ((flags & 1) === 1) unsigned();
    return minimum;
  }
}
