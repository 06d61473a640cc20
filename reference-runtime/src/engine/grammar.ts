// Grammars of `response_format`, compiled once and kept: clients send the same few schemas over and over.
import type { Llama, LlamaGrammar } from 'node-llama-cpp';
import { EngineError, type ResponseFormat } from './types.ts';

/** Grammars kept; the one used longest ago goes first. */
const KEPT = 64;

/** The grammar compiler ends a schema's text with this; a generation stops there and leaves it out. */
export const GRAMMAR_END = '\n\n\n\n';

/** Compiles grammars for one llama.cpp instance. */
export class Grammars {
  readonly #llama: Llama;
  readonly #kept = new Map<string, LlamaGrammar>();

  constructor(llama: Llama) {
    this.#llama = llama;
  }

  /** The grammar of a format. @throws EngineError BAD_PROMPT when llama.cpp refuses it */
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
      const schema = format.schema as Parameters<Llama['createGrammarForJsonSchema']>[0];
      return await this.#llama.createGrammarForJsonSchema(schema);
    } catch (error) {
      throw new EngineError(
        'BAD_PROMPT',
        `response_format: no grammar can be made of the schema: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}
