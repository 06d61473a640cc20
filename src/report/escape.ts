/**
 * Escaping for every output format. All text of a report may come from a pull request or a model: it is made visible
 * first (`visible`), then escaped for the format. Order matters: `visible` writes backslashes, the format escapes them.
 */

// C0 and C1 controls, soft hyphen, zero-width and joiner characters, bidirectional controls (CVE-2021-42574), line and
// paragraph separators, invisible operators, the byte order mark, tag characters, lone surrogates.
const INVISIBLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Cs}/gu;

/** Text with every character that can't be seen, or that changes how others are seen, written as `\u{202e}`. Keeps tab and LF. */
export function visible(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(INVISIBLE, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`);
}

/** One line: white space runs become one space. */
export function oneLine(text: string): string {
  return visible(text)
    .replace(/[^\S\u00a0\u2009]+/gu, ' ')
    .trim();
}

/** At most `max` UTF-16 units, cut between code points, with an ellipsis. */
export function clip(text: string, max: number): string {
  if (text.length <= max) return text;
  let end = Math.max(0, max - 1);
  const last = text.charCodeAt(end - 1);
  if (last >= 0xd800 && last <= 0xdbff) end -= 1;
  return `${text.slice(0, end)}…`;
}

/**
 * Keeps a log line from being taken for a workflow command: the runner trims a line and looks for `::` at its start, and
 * for `##[` anywhere (actions/runner, ActionCommand.TryParseV2 and TryParse).
 */
export function withoutCommands(text: string): string {
  return text.replace(/^([^\S\n]*)::/gmu, '$1\\::').replaceAll('##[', '#\\#[');
}

/** HTML text and attribute values. */
export function html(text: string): string {
  return visible(text).replace(/[&<>"']/g, (char) => HTML_ENTITIES[char]!);
}
const HTML_ENTITIES: { readonly [char: string]: string } = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** XML 1.0 text. */
export function xml(text: string): string {
  return html(text).replace(/[\ufffe\uffff]/g, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`);
}

/** XML attribute values; line breaks as references, so that they survive normalisation. */
export function xmlAttribute(text: string): string {
  return xml(text).replaceAll('\n', '&#10;').replaceAll('\t', '&#9;');
}

/**
 * Markdown text that stays on one line: `code` spans of the message stay code, all other syntax is inert. A zero-width space
 * after @ and # keeps GitHub from notifying people and linking issues; entities keep URLs from becoming links.
 */
export function markdown(text: string): string {
  return oneLine(text)
    .split(/(`[^`]+`)/)
    .map((part, index) => (index % 2 === 1 ? markdownCode(part.slice(1, -1)) : markdownPlain(part)))
    .join('');
}

function markdownPlain(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/[\\`*_[\]|~$]/g, '\\$&')
    .replace(/^[-+=]/, '\\$&')
    .replace(/[@#](?=\S)/g, '$&&#8203;')
    .replace(/\bgh(?=-\d)/gi, '$&&#8203;')
    .replaceAll('://', '&#58;//')
    .replace(/\bwww\./gi, (match) => `${match.slice(0, 3)}&#46;`)
    .replace(/^(\d+)([.])/, '$1\\$2');
}

/** A Markdown code span, also inside a table: the pipe is the one character that a table takes even from code. */
export function markdownCode(text: string): string {
  const shown = oneLine(text).replaceAll('|', '\\|');
  if (shown === '') return '';
  const longest = Math.max(0, ...[...shown.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = '`'.repeat(longest + 1);
  const pad = shown.startsWith('`') || shown.endsWith('`') ? ' ' : '';
  return `${fence}${pad}${shown}${pad}${fence}`;
}

/** A fenced block that its content can't close. */
export function markdownBlock(text: string, language = ''): string {
  const shown = visible(text);
  const longest = Math.max(2, ...[...shown.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${shown}\n${fence}`;
}

/** Data of a workflow command (actions/toolkit, command.ts: escapeData). */
export function commandData(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/** A property of a workflow command (actions/toolkit, command.ts: escapeProperty). */
export function commandProperty(text: string): string {
  return commandData(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
