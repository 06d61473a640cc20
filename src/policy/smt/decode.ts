import { InternalError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { InputPath } from '../domain.ts';

type Expression = string | readonly Expression[];

/** An input read from a model; `exact` is false where JSON can't write a value of it (1/3, half a surrogate pair). */
export interface Model {
  readonly input: JsonObject;
  readonly exact: boolean;
}

/**
 * The input of `(get-value ...)`: absent paths are left out, objects on the way to a member are made. A composite value is
 * an object, or an array where `arrays` has its path and the flag is true or was not asked for.
 */
export function decode(
  text: string,
  inputs: readonly { readonly name: string; readonly path: InputPath }[],
  arrays: readonly { readonly path: InputPath; readonly flag: string }[] = [],
): Model {
  const flags = new Map(arrays.map(({ path, flag }) => [JSON.stringify(path), flag]));
  const values = new Map((parse(text) as readonly (readonly [string, Expression])[]).map(([name, value]) => [name, value]));
  let exact = true;
  const input: Record<string, Json> = {};
  // Parents first: what lies below turns an opaque object into one with members.
  for (const { name, path } of [...inputs].sort((a, b) => a.path.length - b.path.length)) {
    const value = values.get(name);
    if (value === undefined) throw new InternalError(`z3 gave no value for ${name}: ${text.slice(0, 300)}`);
    if (value === 'absent') continue;
    const flag = flags.get(JSON.stringify(path));
    const scalar =
      value === 'other' && flag !== undefined && (values.get(flag) ?? 'true') === 'true'
        ? { json: [], exact: true }
        : scalarOf(value);
    exact &&= scalar.exact;
    let node = input;
    for (const step of path.slice(0, -1)) {
      const key = keyIn(node, step);
      if (!Object.hasOwn(node, key)) define(node, key, {});
      node = node[key] as Record<string, Json>;
    }
    define(node, keyIn(node, path.at(-1)!), scalar.json);
  }
  return { input, exact };
}

/** Elements of what is an object after all get names. */
function keyIn(node: object, step: string | number): string {
  return typeof step === 'string' ? step : Array.isArray(node) ? String(step) : `k${step}`;
}

/** `__proto__` is a key like any other. */
function define(node: Record<string, Json>, key: string, value: Json): void {
  Object.defineProperty(node, key, { value, enumerable: true, writable: true, configurable: true });
}

function scalarOf(value: Expression): { readonly json: Json; readonly exact: boolean } {
  if (value === 'null') return { json: null, exact: true };
  if (value === 'other') return { json: {}, exact: true };
  if (typeof value !== 'string') {
    const [type, inner] = value;
    if (type === 'bool') return { json: inner === 'true', exact: true };
    if (type === 'num') return numberOf(inner!);
    if (type === 'str' && typeof inner === 'string') {
      const json = inner
        .slice(1, -1)
        .replaceAll('""', '"')
        .replaceAll(/\\u\{([0-9a-fA-F]+)\}|\\u([0-9a-fA-F]{4})/g, (_, braced?: string, four?: string) =>
          String.fromCodePoint(Number.parseInt(braced ?? four!, 16)),
        );
      return { json, exact: json.isWellFormed() };
    }
  }
  throw new InternalError(`z3 gave a value that is none: ${JSON.stringify(value).slice(0, 200)}`);
}

function numberOf(value: Expression): { readonly json: number; readonly exact: boolean } {
  if (typeof value === 'string') {
    const json = Number(value);
    const digits = value.replace(/\.0$/, '');
    return { json, exact: String(json) === digits };
  }
  const [operator, first, second] = value;
  const a = numberOf(first!);
  if (operator === '-' && second === undefined) return { json: -a.json, exact: a.exact };
  if (operator === '/') {
    const b = numberOf(second!);
    const json = a.json / b.json;
    let rest = b.json;
    for (const factor of [2, 5]) while (rest > 1 && rest % factor === 0) rest /= factor;
    // A quotient whose decimal notation ends, and within the digits that a double keeps.
    return { json, exact: a.exact && b.exact && rest === 1 && /^-?[\d.]{1,16}$/.test(String(json)) };
  }
  throw new InternalError(`z3 gave a number that is none: ${JSON.stringify(value).slice(0, 200)}`);
}

function parse(text: string): Expression {
  const stack: Expression[][] = [[]];
  for (const [token] of text.matchAll(/\(|\)|"(?:[^"]|"")*"|[^\s()"]+/g)) {
    if (token === '(') stack.push([]);
    else if (token === ')') {
      const done = stack.pop();
      if (done === undefined || stack.length === 0) throw new InternalError('z3 gave a model that does not parse.');
      stack.at(-1)!.push(done);
    } else stack.at(-1)!.push(token);
  }
  return stack[0]?.[0] ?? [];
}
