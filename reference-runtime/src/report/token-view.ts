// Text as tokens, coloured by what the router did with them in a layer that the reader picks. Without a script: radio buttons choose the
// layer, hovering and focus show a token's gate, and a click keeps it open (HTML popover).
import { clip, html } from '../../../src/report/escape.ts';

/** Characters of a token that are shown: a vocabulary may have long ones. */
export const MAX_TEXT = 60;

/** One token of the view. */
export interface ViewToken {
  position: number;
  text: string;
  /** A class a layer that it was computed in: `l2x5`. */
  classes: readonly string[];
  /** Its details as HTML; undefined leaves them out. */
  details?: string;
}

/** A rule that gives a colour, and what stands under the token, to a class where its layer is picked. */
export function layerRule(layer: number, name: string, colour: string, label: string): string {
  return `main:has(#layer-${layer}:checked) .l${layer}x${name}{--c:var(--${colour});--n:"${label}"}`;
}

/** Rules that mark the picked layer in a token's details. */
export function detailRules(layers: readonly number[]): string[] {
  return layers.map(
    (layer) =>
      `main:has(#layer-${layer}:checked) .d tr.r${layer}{font-weight:650}main:has(#layer-${layer}:checked) .d:not(:popover-open) tr.r${layer}{display:table-row;font-weight:400}`,
  );
}

/** The choice of layer; the last one is picked first: it is where experts differ most by content. */
export function layerChoice(layers: readonly number[]): string {
  const choices = layers.map(
    (layer, index) =>
      `<label><input type="radio" name="layer" id="layer-${layer}"${index === layers.length - 1 ? ' checked' : ''}>${layer}</label>`,
  );
  return `<fieldset class="layers"><legend>Layer (arrow keys move through them)</legend>${choices.join('')}</fieldset>`;
}

/** What a token looks like: white space is made visible where there is nothing else, control characters as escape() writes them. */
function shown(text: string): string {
  if (text === '') return '∅';
  if (/^\s+$/.test(text)) {
    const marks = clip(text, MAX_TEXT).replaceAll('\r', '').replaceAll('\n', '↵').replaceAll('\t', '⇥').replaceAll(' ', '␣');
    return html(marks);
  }
  // A part of a character: its bytes say enough.
  const bytes = /^bytes:(?<bytes>(?:\\x[0-9a-f]{2})+)$/.exec(text)?.groups?.['bytes'];
  return html(clip(bytes ?? text, MAX_TEXT)).replaceAll('\n', '↵');
}

/** The tokens of one part. `id` makes the ids of the page's elements unique. */
export function tokenView(title: string, tokens: readonly ViewToken[], id: string): string {
  const items = tokens.map(({ position, text, classes, details }) => {
    const open = `${id}-${position}`;
    const button = `<button type="button" class="t${classes.map((name) => ` ${name}`).join('')}"${details === undefined ? '' : ` popovertarget="${open}"`}>${shown(text)}</button>`;
    const inner =
      details === undefined
        ? ''
        : `<div class="d" id="${open}" popover role="dialog" aria-label="Token at position ${position}">${details}</div>`;
    return `${button}${inner}${text.includes('\n') ? '<br>' : ''}`;
  });
  return `<h3>${html(title)}</h3><div class="tokens">${items.join('')}</div>`;
}
