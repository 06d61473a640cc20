// Grammars of `response_format`, compiled once and kept: clients send the same few schemas over and over.
import type { Llama, LlamaGrammar } from 'node-llama-cpp';
import { messageOf } from '../../../src/core/errors.ts';
import { EngineError, type ResponseFormat } from './types.ts';

/** Grammars kept; the one used longest ago goes first. */
const KEPT = 64;

/** The grammar compiler ends a schema's text with this; a generation stops there and leaves it out. */
export const GRAMMAR_END = '\n\n\n\n';

const EXPONENT = ' ([eE] [-+]? ("0" | [1-9] [0-9]{0,15}))?';
const FRACTION = ' ("." [0-9]{1,16})?';

/**
 * What node-llama-cpp writes where a schema asks for less, and what is put in its place, in order. No literal can hold such a text: its
 * quotes are escaped there. A test compiles each, so that a version that writes another text is noticed.
 */
const CORRECTIONS: ReadonlyArray<readonly [from: string, to: string]> = [
  // Two digits of exponent keep every number within what a double holds (IEEE 754: up to 1.8e308) ...
  [`${FRACTION}${EXPONENT}`, `${FRACTION} ([eE] [-+]? ("0" | [1-9] [0-9]?))?`],
  // ... and 1e-5 is no integer.
  [EXPONENT, ''],
  // Every character but the control characters is written as itself: an escaped surrogate pair would count as two for minLength.
  ['"\\\\u" [0-9a-fA-F]{4}', '"\\\\u00" [01] [0-9a-fA-F]'],
  // No 31 February (RFC 3339, section 5.7); 29 February is left out, as it is not in every year.
  [
    '("0" [1-9] | "1" [012]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])',
    '(("0" [13578] | "1" [02]) "-" ("0" [1-9] | [12] [0-9] | "3" [01]) | ("0" [469] | "11") "-" ("0" [1-9] | [12] [0-9] | "30") | ' +
      '"02-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))',
  ],
];

/** A schema's grammar, with the rules that allow more than the schema does put right. */
function correctGrammar(grammar: string): string {
  return CORRECTIONS.reduce((text, [from, to]) => text.replaceAll(from, () => to), grammar);
}

/** Compiles grammars for one llama.cpp instance. */
export class Grammars {
  readonly #llama: Llama;
  readonly #kept = new Map<string, LlamaGrammar>();

  constructor(llama: Llama) {
    this.#llama = llama;
  }

  /** The grammar of a format. @throws EngineError BAD_FORMAT when llama.cpp refuses it */
  async get(format: ResponseFormat): Promise<LlamaGrammar> {
    const key = JSON.stringify(format);
    const kept = this.#kept.get(key);
    const grammar = kept ?? (await this.#compile(format));
    this.#kept.delete(key);
    this.#kept.set(key, grammar);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#kept.delete(oldest);
    }
    return grammar;
  }

  async #compile(format: ResponseFormat): Promise<LlamaGrammar> {
    try {
      if (format.kind === 'json_object') return await this.#llama.getGrammarFor('json');
      if (format.schema === undefined) throw new Error('it has what only another server enforces');
      const schema = format.schema as Parameters<Llama['createGrammarForJsonSchema']>[0];
      const { grammar } = await this.#llama.createGrammarForJsonSchema(schema);
      return await this.#llama.createGrammar({
        grammar: correctGrammar(grammar),
        stopGenerationTriggers: [GRAMMAR_END],
        trimWhitespaceSuffix: true,
      });
    } catch (error) {
      throw new EngineError('BAD_FORMAT', `response_format: no grammar can be made of the schema: ${messageOf(error)}`);
    }
  }
}
