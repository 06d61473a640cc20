import { isObject, type Json } from '../core/json.ts';
import { type Domain, type InputPath, valueAt } from './domain.ts';

type Part =
  | { readonly bytes: Uint8Array }
  | { readonly dimension: number; readonly fragments: readonly Uint8Array[] }
  /** Start of a container's members; `fix` blanks the comma that comes first there. */
  | { readonly mark: number }
  | { readonly fix: number };

const encoder = new TextEncoder();

/**
 * Writes the JSON of a domain point without building the object: everything that no dimension touches is encoded once.
 * Members all start with a comma; the first comma of a container becomes a space (JSON allows white space there), so an
 * absent member is just an empty fragment.
 */
export class PointEncoder {
  readonly #parts: readonly Part[];
  readonly #buffer: Uint8Array;
  readonly #marks: number[] = [];

  constructor(domain: Pick<Domain, 'base' | 'dimensions'>) {
    const parts: Part[] = [];
    let marks = 0;
    const emit = (value: Json, path: InputPath): void => {
      if (!domain.dimensions.some((d) => d.path.length > path.length && path.every((step, i) => d.path[i] === step))) {
        parts.push({ bytes: encoder.encode(JSON.stringify(value)) });
        return;
      }
      const list = Array.isArray(value);
      const keys: (string | number)[] = list ? [...(value as readonly Json[]).keys()] : isObject(value) ? Object.keys(value) : [];
      for (const d of domain.dimensions) {
        const last = d.path.at(-1)!;
        if (d.path.length === path.length + 1 && path.every((step, i) => d.path[i] === step) && !keys.includes(last))
          keys.push(last);
      }
      const mark = marks;
      marks += 1;
      parts.push({ bytes: encoder.encode(list ? '[' : '{') }, { mark });
      for (const key of keys) {
        const inner = [...path, key];
        const name = list ? ',' : `,${JSON.stringify(key)}:`;
        const dimension = domain.dimensions.findIndex(
          (d) => d.path.length === inner.length && inner.every((step, i) => d.path[i] === step),
        );
        if (dimension >= 0) {
          const fragments = domain.dimensions[dimension]!.choices.map((c) =>
            encoder.encode(c.json === undefined ? '' : `${name}${JSON.stringify(c.json)}`),
          );
          parts.push({ dimension, fragments });
        } else {
          parts.push({ bytes: encoder.encode(name) });
          emit(valueAt(domain.base, inner)!, inner);
        }
      }
      parts.push({ fix: mark }, { bytes: encoder.encode(list ? ']' : '}') });
    };
    emit(domain.base, []);
    this.#parts = mergeBytes(parts);
    const size = this.#parts.reduce(
      (sum, part) =>
        sum + ('bytes' in part ? part.bytes.length : 'fragments' in part ? Math.max(...part.fragments.map((f) => f.length)) : 0),
      0,
    );
    this.#buffer = new Uint8Array(size);
  }

  /** The point's JSON; the bytes are overwritten by the next call. */
  encode(digits: readonly number[]): Uint8Array {
    const buffer = this.#buffer;
    let at = 0;
    for (const part of this.#parts) {
      if ('bytes' in part) {
        buffer.set(part.bytes, at);
        at += part.bytes.length;
      } else if ('fragments' in part) {
        const fragment = part.fragments[digits[part.dimension]!]!;
        buffer.set(fragment, at);
        at += fragment.length;
      } else if ('mark' in part) this.#marks[part.mark] = at;
      else {
        const start = this.#marks[part.fix]!;
        // 44 is a comma, 32 a space.
        if (at > start && buffer[start] === 44) buffer[start] = 32;
      }
    }
    return buffer.subarray(0, at);
  }
}

function mergeBytes(parts: readonly Part[]): Part[] {
  const merged: Part[] = [];
  for (const part of parts) {
    const last = merged.at(-1);
    if (last !== undefined && 'bytes' in last && 'bytes' in part) {
      const bytes = new Uint8Array(last.bytes.length + part.bytes.length);
      bytes.set(last.bytes);
      bytes.set(part.bytes, last.bytes.length);
      merged[merged.length - 1] = { bytes };
    } else merged.push(part);
  }
  return merged;
}
