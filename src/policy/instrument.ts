import type { AstLocation } from './ast.ts';
import { sourceText } from './ast.ts';
import { type Definition, ownText, splitBody } from './definitions.ts';
import type { Modules } from './source.ts';

export interface Instrumented {
  readonly modules: Modules;
  /** Definitions that carry hooks. */
  readonly hooked: ReadonlySet<string>;
}

/**
 * Puts two host calls into the body of every definition: `mixgate.on("<id>")` first (false switches the definition
 * off) and `mixgate.fired("<id>", <value>)` last (tells the host that the body held, and, where a rule has several definitions, with which value). The names
 * are custom builtins, declared in the capabilities of the build, so nothing in input, data or the packages changes and
 * rows stay where they are. The semantics stay too: both calls are true unless the host says otherwise.
 */
export function instrument(modules: Modules, definitions: readonly Definition[]): Instrumented {
  // Only where definitions can agree or clash does their value matter; elsewhere handing it out would only cost time.
  const heads = new Map<string, number>();
  for (const d of definitions) if (d.chain.length === 0 && d.kind !== 'default') heads.set(d.rule, (heads.get(d.rule) ?? 0) + 1);
  const edits = new Map<string, { offset: number; text: string }[]>();
  const hooked = new Set<string>();
  for (const definition of definitions) {
    if (definition.kind === 'default') continue;
    const source = modules.get(definition.file);
    if (source === undefined) continue;
    const planned = plan(source, definition, (heads.get(definition.rule) ?? 0) > 1);
    if (planned === undefined) continue;
    edits.set(definition.file, [...(edits.get(definition.file) ?? []), ...planned]);
    hooked.add(definition.id);
  }
  const result = new Map<string, string>();
  for (const [path, text] of modules) {
    let changed = text;
    // Last place first, so that earlier offsets stay true; at one place the earlier planned goes first.
    const list = (edits.get(path) ?? [])
      .map((edit, order) => ({ ...edit, order }))
      .sort((a, b) => b.offset - a.offset || b.order - a.order);
    for (const { offset, text: inserted } of list) changed = changed.slice(0, offset) + inserted + changed.slice(offset);
    result.set(path, changed);
  }
  return { modules: result, hooked };
}

function plan(source: string, definition: Definition, withValue: boolean): { offset: number; text: string }[] | undefined {
  const { ast, id } = definition;
  const text = ownText(ast);
  const start = offsetOf(source, ast.location);
  if (start === undefined || !source.startsWith(text, start)) return undefined;
  const on = `mixgate.on("${id}")`;
  const fired = `mixgate.fired("${id}", ${withValue ? valueText(definition) : 'true'})`;
  const { fact, bodyOffset } = splitBody(ast);
  if (fact) return [{ offset: start + text.trimEnd().length, text: ` if { ${on}; ${fired} }` }];
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
      { offset: firstOffset, text: `${on}; ` },
      { offset: lastOffset + lastText.length, text: `; ${fired}` },
    ];
  }
  return [
    { offset: bodyStart, text: `{ ${on}; ` },
    { offset: start + text.trimEnd().length, text: `; ${fired} }` },
  ];
}

function valueText(definition: Definition): string {
  const { key, value } = definition.ast.head;
  if (definition.kind === 'set') return sourceText(key?.location) ?? 'true';
  const text = value?.location === undefined ? 'true' : (sourceText(value.location) ?? 'true');
  if (definition.kind !== 'object') return text;
  const keyText = sourceText(key?.location);
  return keyText === undefined ? text : `[${keyText}, ${text}]`;
}

/** OPA counts columns in code points; JavaScript indexes UTF-16. */
function offsetOf(source: string, location: AstLocation): number | undefined {
  let offset = 0;
  for (let row = 1; row < location.row; row += 1) {
    const end = source.indexOf('\n', offset);
    if (end < 0) return undefined;
    offset = end + 1;
  }
  const end = source.indexOf('\n', offset);
  const line = source.slice(offset, end < 0 ? undefined : end);
  return offset + [...line].slice(0, location.col - 1).join('').length;
}
