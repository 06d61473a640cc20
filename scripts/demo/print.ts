const color = process.stdout.isTTY === true && !process.env['NO_COLOR'];
const paint = (code: number, text: string): string => (color ? `\u001b[${code}m${text}\u001b[0m` : text);
const COLORS: { readonly [verdict: string]: number } = { pass: 32, warn: 33, inconclusive: 35, fail: 31, error: 31 };

const started = Date.now();

export function bold(text: string): string {
  return paint(1, text);
}

export function dim(text: string): string {
  return paint(2, text);
}

export function verdict(text: string): string {
  return paint(COLORS[text] ?? 0, text.toUpperCase());
}

/** A scene: a title and what happens in it. */
export function scene(number: number, title: string, what: string): void {
  console.log(`\n${bold(`${number}. ${title}`)} ${dim(`(${((Date.now() - started) / 1000).toFixed(0)} s)`)}\n   ${what}\n`);
}

export function line(text = ''): void {
  console.log(`   ${text}`);
}

export function elapsedSeconds(): number {
  return (Date.now() - started) / 1000;
}
