import { createHash } from 'node:crypto';
import { html } from './escape.ts';

/** A mark of two expert lanes meeting a gate; drawn here because the page may load nothing. */
export const LOGO =
  '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" aria-hidden="true"><path d="M2 6h5l6 6h9M2 18h5l3-3M13 12"/><path d="M17 5v14"/></svg>';

/** `body` is HTML; whoever made it has escaped it. */
export interface HtmlPage {
  readonly title: string;
  readonly style: string;
  readonly body: string;
}

/** The Content-Security-Policy of a page: nothing but its own style sheet. A server sends it as a header, too. */
export function pagePolicy(style: string): string {
  const digest = createHash('sha256').update(style).digest('base64');
  return `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'`;
}

/** One self-contained HTML document: no script, no request. */
export function htmlPage({ title, style, body }: HtmlPage): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${pagePolicy(style)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${html(title)}</title>
<style>${style}</style>
</head>
<body>
${body}
</body>
</html>
`;
}
