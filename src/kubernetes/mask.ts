import { createHmac } from 'node:crypto';
import type { Json } from '../core/json.ts';
import { shorten } from '../core/text.ts';

/** Values that must never be printed are replaced by this and a keyed digest: equal secrets still compare equal. */
const PREFIX = '\uE000masked:';

const SECRET_NAME = /(passw(or)?d|secret|token|api[-_]?key|apikey|credential|private[-_]?key|authorization|cookie)/i;

export function mask(value: Json, key: Uint8Array): string {
  return `${PREFIX}${createHmac('sha256', key)
    .update(typeof value === 'string' ? value : JSON.stringify(value))
    .digest('hex')}`;
}

export function isMasked(value: Json | undefined): boolean {
  return typeof value === 'string' && value.startsWith(PREFIX);
}

/** Whether a name (of an environment variable, header, flag or key) says that its value is a credential. */
export function namesSecret(name: string): boolean {
  return (
    SECRET_NAME.test(name) && !/(secretName|secretKeyRef|tokenExpiration|automountServiceAccountToken|max-?tokens)/i.test(name)
  );
}

/** A value for people: masked ones as stars, long ones cut, wherever they sit. */
export function show(value: Json | undefined, side?: 'before' | 'after'): string {
  if (value === undefined) return '(absent)';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const open = text.replaceAll(/:\/\/[^\s/:@"']{1,200}:[^\s/@"']{1,200}@/g, '://***@');
  const clean = open.replaceAll(/\uE000masked:[0-9a-f]{64}/g, side === undefined ? '***' : `*** (${side})`);
  return shorten(clean, 200);
}
