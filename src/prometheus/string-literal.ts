/** The value of a PromQL string literal: Go escapes in double and single quotes, none in backticks. */
export function unquote(literal: string): string {
  const body = literal.slice(1, -1);
  if (literal.startsWith('`')) return body;
  const simple: Record<string, string> = {
    a: '\x07',
    b: '\b',
    f: '\f',
    n: '\n',
    r: '\r',
    t: '\t',
    v: '\v',
    '\\': '\\',
    "'": "'",
    '"': '"',
  };
  return body.replaceAll(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))/g,
    (whole, x, u, long, octal, one) => {
      if (one !== undefined) return simple[one as string] ?? whole;
      const code = octal === undefined ? Number.parseInt((x ?? u ?? long) as string, 16) : Number.parseInt(octal as string, 8);
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}
