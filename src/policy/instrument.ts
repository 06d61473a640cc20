import { append } from '../core/multimap.ts';
import type { Modules } from '../rego/source.ts';
import { sourceText } from './ast.ts';
import { type Definition, ownText, splitBody } from './definitions.ts';
import { applyEdits, type Edit, offsetOf } from './edits.ts';

/**
 * Puts two host calls into the body of every definition: `mixgate.on("<id>")` first (false switches the definition
 * off) and `mixgate.fired("<id>", <value>)` last (tells the host that the body held, and, where a rule has several definitions, with which value). The names
 * are custom builtins, declared in the capabilities of the build, so nothing in input, data or the packages changes and
 * rows stay where they are. The semantics stay too: both calls are true unless the host says otherwise.
 */
export function instrument(modules: Modules, definitions: readonly Definition[]): Modules {
  // Only where definitions can agree or clash does their value matter; elsewhere handing it out would only cost time.
  const heads = new Map<string, number>();
  for (const d of definitions) if (d.chain.length === 0 && d.kind !== 'default') heads.set(d.rule, (heads.get(d.rule) ?? 0) + 1);
  const edits = new Map<string, Edit[]>();
  for (const definition of definitions) {
    if (definition.kind === 'default') continue;
    const source = modules.get(definition.file);
    if (source === undefined) continue;
    const value = (heads.get(definition.rule) ?? 0) > 1 ? valueText(definition) : 'true';
    const planned = bodyEdits(
      source,
      definition,
      `mixgate.on("${definition.id}")`,
      `mixgate.fired("${definition.id}", ${value})`,
    );
    if (planned !== undefined) append(edits, definition.file, ...planned);
  }
  return new Map([...modules].map(([path, text]) => [path, applyEdits(text, edits.get(path) ?? [])]));
}

/** Edits that put one expression in front of a definition's body and one behind it; undefined for a shape that isn't known. */
export function bodyEdits(
  source: string,
  definition: Definition,
  before: string | undefined,
  after?: string,
): readonly Edit[] | undefined {
  const { ast } = definition;
  const text = ownText(ast);
  const start = offsetOf(source, ast.location);
  if (start === undefined || !source.startsWith(text, start)) return undefined;
  const ahead = before === undefined ? '' : `${before}; `;
  const behind = after === undefined ? '' : `; ${after}`;
  const { fact, bodyOffset } = splitBody(ast);
  if (fact)
    return [
      { offset: start + text.trimEnd().length, text: ` if { ${[before, after].filter((e) => e !== undefined).join('; ')} }` },
    ];
  const bodyStart = start + bodyOffset;
  const first = ast.body[0];
  const firstOffset = first?.location === undefined ? undefined : offsetOf(source, first.location);
  const braced = source[bodyStart] === '{' && firstOffset !== undefined && firstOffset > bodyStart;
  if (braced) {
    const last = ast.body.at(-1)!;
    const lastOffset = last.location === undefined ? undefined : offsetOf(source, last.location);
    const lastText = sourceText(last.location);
    if (lastOffset === undefined || lastText === undefined || !source.startsWith(lastText, lastOffset)) return undefined;
    return [
      { offset: firstOffset, text: ahead },
      { offset: lastOffset + lastText.length, text: behind },
    ];
  }
  return [
    { offset: bodyStart, text: `{ ${ahead}` },
    { offset: start + text.trimEnd().length, text: `${behind} }` },
  ];
}

/** Source of the value that a definition gives: of a set its member, of an object `[key, value]`. */
export function valueText(definition: Definition): string {
  const { key, value } = definition.ast.head;
  if (definition.kind === 'set') return sourceText(key?.location) ?? 'true';
  const text = value?.location === undefined ? 'true' : (sourceText(value.location) ?? 'true');
  if (definition.kind !== 'object') return text;
  const keyText = sourceText(key?.location);
  return keyText === undefined ? text : `[${keyText}, ${text}]`;
}
