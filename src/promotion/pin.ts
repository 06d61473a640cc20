import { isMap, isScalar, isSeq, parseDocument } from 'yaml';
import { parseYaml } from '../config/document.ts';
import { checked } from '../config/schema.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { PromotionEnvironmentDocument } from '../generated/schemas.ts';

/** The file that says which commit an environment runs. */
export type Pin = PromotionEnvironmentDocument;

export interface PinChange {
  readonly revision: string;
  /** Added to the quarantine list. */
  readonly quarantine?: { readonly revision: string; readonly reason: string; readonly since: string };
  /** Taken off the quarantine list. */
  readonly release?: string;
}

/** @throws ConfigurationError when the file isn't a pin, or is another environment's */
export function parsePin(text: string, file: string, environment: string): Pin {
  const source = parseYaml(text, file);
  const pin = checked('promotion-environment', source);
  if (pin.environment !== environment)
    throw new ConfigurationError({
      message: `the file pins the environment ${pin.environment}.`,
      location: source.locate(['environment']),
      expected: environment,
      fix: 'give each environment a `path` of its own.',
    });
  return pin;
}

/** A pin before the first promotion. */
export function newPin(environment: string): string {
  return `# Which commit of this repository the environment runs. mixgate promote and rollback write it; comments stay.\nenvironment: ${environment}\nrevision: null\n`;
}

/** The text with the revision (and the quarantine list) changed and everything else, comments included, as it was. */
export function editPin(text: string, change: PinChange): string {
  const pinned = setRevision(text, change.revision);
  if (change.quarantine === undefined && change.release === undefined) return pinned;
  const doc = parseDocument(pinned);
  const list = doc.get('quarantine');
  if (change.release !== undefined && isSeq(list)) {
    list.items = list.items.filter((item) => !(isMap(item) && item.get('revision') === change.release));
    if (list.items.length === 0) doc.delete('quarantine');
  }
  if (change.quarantine !== undefined) {
    if (isSeq(doc.get('quarantine'))) doc.addIn(['quarantine'], doc.createNode(change.quarantine));
    else doc.set('quarantine', doc.createNode([change.quarantine]));
  }
  return doc.toString({ lineWidth: 0 });
}

/** Replaces the bytes of the one scalar: printing the document again would move blank lines. */
function setRevision(text: string, revision: string): string {
  const node = parseDocument(text).get('revision', true);
  if (isScalar(node) && node.range && node.range[1] > node.range[0])
    return text.slice(0, node.range[0]) + revision + text.slice(node.range[1]);
  const doc = parseDocument(text);
  doc.set('revision', revision);
  return doc.toString({ lineWidth: 0 });
}
