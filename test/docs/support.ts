import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support/cli.ts';

export interface Page {
  /** Path from the root of the repository. */
  readonly file: string;
  readonly text: string;
}

/** README.md, docs, and the READMEs of the parts. */
export function pages(): Page[] {
  const parts = ['README.md', 'CHANGELOG.md', 'policies/README.md', 'bench/*/README.md', 'reference-runtime/README.md'];
  return ['docs/**/*.md', ...parts]
    .flatMap((pattern) => globSync(pattern, { cwd: ROOT }))
    .sort()
    .map((file) => ({ file, text: readFileSync(join(ROOT, file), 'utf8') }));
}

/** Targets of Markdown links and images, outside of code. */
export function links(text: string): string[] {
  const prose = text
    .replace(/^ {0,3}(?<fence>`{3,}|~{3,})[^\n]*\n[\s\S]*?^ {0,3}\k<fence>[^\n]*$/gm, '')
    .replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\((?<target>[^()\s]+)\)/g)].map((match) => match.groups!['target']!);
}

/** Anchors of a page's headings, as GitHub makes them. */
export function anchors(text: string): string[] {
  return [...text.matchAll(/^#{1,6} (?<title>.+)$/gm)].map((match) =>
    match
      .groups!['title']!.toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );
}

/** Command lines of a program in code blocks (fenced or indented), continuation lines joined. */
export function commandLines(text: string, program: string): string[] {
  const found: string[] = [];
  const pattern = new RegExp(`^\\s*(?:\\$ |- run: |run: )?(?:npx )?(?<line>${program} (?!\\s).*)$`);
  let fenced = false;
  for (const line of text.replaceAll(/\\\n\s*/g, ' ').split('\n')) {
    if (/^\s*(?:```|~~~)/.test(line)) fenced = !fenced;
    const command = pattern.exec(line)?.groups?.['line'];
    if (command !== undefined && (fenced || /^ {4,}/.test(line))) found.push(command.trim());
  }
  return found;
}

/** Words of a shell command line: quotes grouped, comments, pipes and redirections cut off. */
export function words(line: string): string[] {
  const found: string[] = [];
  for (const match of line.matchAll(/"(?<double>[^"]*)"|'(?<single>[^']*)'|(?<bare>\S+)/g)) {
    const { double, single, bare } = match.groups as { double?: string; single?: string; bare?: string };
    if (bare !== undefined && /^(?:#|\||>|2>|&&|;|<$)/.test(bare)) break;
    // A shell variable has a value that the flag takes: numbers pass for texts, not the other way round.
    found.push(single ?? (double ?? bare!).replace(/^\$\w+$/, '1'));
  }
  return found.slice(1);
}
