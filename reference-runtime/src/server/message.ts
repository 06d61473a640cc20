// A chat message put together from the pieces that a stream has of it, as OpenAI's clients do.
import type { Delta } from '../engine/types.ts';

/** A whole tool call. */
interface ToolCall {
  id: string;
  type: string;
  function: { name: string; arguments: string };
}

/** What of a message is no text. */
export interface MessageParts {
  tool_calls?: ToolCall[];
  refusal?: string;
  reasoning_content?: string;
  reasoning?: string;
}

/** Collects the pieces of one message. */
export class MessageBuilder {
  readonly #calls = new Map<number, ToolCall>();
  readonly #texts: Omit<MessageParts, 'tool_calls'> = {};
  #last = -1;

  add({ tool_calls: calls = [], ...texts }: Delta): void {
    for (const name of Object.keys(texts) as Array<keyof typeof texts>)
      this.#texts[name] = (this.#texts[name] ?? '') + (texts[name] ?? '');
    for (const { index, id, type, function: called } of calls) {
      // A server that numbers no calls begins each with its id.
      const at = index ?? (id === undefined ? Math.max(this.#last, 0) : this.#last + 1);
      this.#last = at;
      let call = this.#calls.get(at);
      if (call === undefined) {
        call = { id: '', type: 'function', function: { name: '', arguments: '' } };
        this.#calls.set(at, call);
      }
      if (id) call.id = id;
      if (type) call.type = type;
      if (called?.name) call.function.name = called.name;
      if (called?.arguments) call.function.arguments += called.arguments;
    }
  }

  /** Undefined where there was nothing but text. */
  parts(): MessageParts | undefined {
    const calls = [...this.#calls].sort(([a], [b]) => a - b).map(([, call]) => call);
    if (calls.length === 0 && Object.keys(this.#texts).length === 0) return undefined;
    return { ...this.#texts, ...(calls.length === 0 ? {} : { tool_calls: calls }) };
  }
}
