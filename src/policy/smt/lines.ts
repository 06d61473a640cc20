import { append } from '../../core/multimap.ts';

/** A name that a formula gives: guards, free Booleans, inputs, reals. */
const NAME = /\b[gfir]\d+\b/g;

interface Line {
  readonly text: string;
  readonly refs: readonly string[];
}

/**
 * The definitions of a formula in the order in which they were made, each after what it refers to. Many questions share
 * them; each is asked with its cone of influence only.
 */
export class Lines {
  readonly #lines: Line[] = [];
  readonly #defined = new Map<string, number>();
  /** By the name that they are about. */
  readonly #assumptions = new Map<string, number[]>();

  define(name: string, sort: string, text: string): void {
    this.#defined.set(name, this.#add(`(define-fun ${name} () ${sort} ${text})`, text));
  }

  declare(name: string, sort: string): void {
    this.#defined.set(name, this.#add(`(declare-const ${name} ${sort})`, ''));
  }

  /**
   * Limits the name `about`, to something for every value of the others: who doesn't ask about that name loses nothing by
   * leaving it out.
   */
  assume(guard: string, about: string): void {
    const index = this.#add(`(assert ${guard})`, guard);
    append(this.#assumptions, about, index);
  }

  /** What the names in `texts` depend on. */
  cone(texts: readonly string[]): Cone {
    const names = new Set<string>();
    const indexes = new Set<number>();
    const open = texts.flatMap(namesIn);
    while (open.length > 0) {
      const name = open.pop()!;
      const at = this.#defined.get(name);
      if (at === undefined || names.has(name)) continue;
      names.add(name);
      for (const index of [at, ...(this.#assumptions.get(name) ?? [])]) {
        if (indexes.has(index)) continue;
        indexes.add(index);
        open.push(...this.#lines[index]!.refs);
      }
    }
    return { names, lines: [...indexes].sort((a, b) => a - b).map((index) => this.#lines[index]!.text) };
  }

  #add(text: string, refersTo: string): number {
    return this.#lines.push({ text, refs: namesIn(refersTo) }) - 1;
  }
}

interface Cone {
  readonly names: ReadonlySet<string>;
  readonly lines: readonly string[];
}

/** The names in SMT text. A string literal may hold what looks like one: then a line too many is kept. */
export function namesIn(text: string): readonly string[] {
  return text.match(NAME) ?? [];
}
