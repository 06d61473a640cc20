// The frame of the runtime's pages.
import { html, oneLine } from '../../../src/report/escape.ts';
import { htmlPage, LOGO, pagePolicy } from '../../../src/report/html-page.ts';
import { pageStyle } from './style.ts';

export type Tile = readonly [name: string, value: string, bad?: boolean];

export interface PageContent {
  title: string;
  /** One sentence under the title, plain text. */
  lead: string;
  tiles: readonly Tile[];
  /** HTML, escaped by whoever made it. */
  main: string;
  /** Facts at the foot of the page, plain text. */
  about: ReadonlyArray<readonly [string, string]>;
  /** Pages to go to, by relative address: on a page that a server sends. */
  links?: ReadonlyArray<readonly [name: string, href: string]>;
  /** Style rules of this page. */
  rules?: readonly string[];
}

/** A page and the policy that a server sends with it. */
export interface Page {
  html: string;
  policy: string;
}

export function page({ title, lead, tiles, main, about, links = [], rules }: PageContent): Page {
  const style = pageStyle(rules);
  const facts = about
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `<dt>${html(name)}</dt><dd class="mono">${html(oneLine(value))}</dd>`);
  const body = `<a class="skip" href="#main">Skip to the numbers</a>
<header class="top">
<div class="brand">${LOGO}<span>mixgate-runtime</span></div>
<h1>${html(oneLine(title))}</h1>
<p class="lead">${html(oneLine(lead))}</p>
${links.length === 0 ? '' : `<nav aria-label="Pages">${links.map(([name, href]) => `<a href="${html(href)}">${html(name)}</a>`).join('')}</nav>`}
<dl class="tiles">${tiles.map(([name, value, bad]) => `<div class="tile${bad === true ? ' bad' : ''}"><dt>${html(name)}</dt><dd>${html(oneLine(value))}</dd></div>`).join('')}</dl>
</header>
<main id="main">
${main}
</main>
<footer><dl>${facts.join('\n')}</dl></footer>`;
  return { html: htmlPage({ title: `${oneLine(title)} · mixgate-runtime`, style, body }), policy: pagePolicy(style) };
}
