// Mixtral's instruct format (mistralai/Mixtral-8x7B-Instruct-v0.1, tokenizer_config.json): `<s> [INST] user [/INST] answer</s> [INST] ...`.
// Only BOS and EOS are control tokens there, so everything a user wrote is tokenised as plain text and cannot end a turn.
import type { ChatMessage } from './types.ts';

/** A piece of a chat prompt: text to tokenise without control tokens, or one control token. */
export type ChatPart = { text: string } | { control: 'bos' | 'eos' };

/** Messages that do not alternate user and assistant after at most one leading system message. */
export class ChatFormatError extends Error {}

/** The parts of the prompt for `messages`. @throws ChatFormatError */
export function mistralInstruct(messages: ChatMessage[]): ChatPart[] {
  const rest = [...messages];
  const system = rest[0]?.role === 'system' ? `${rest.shift()?.content ?? ''}\n\n` : '';
  if (rest.length === 0) throw new ChatFormatError('messages must contain at least one user message');
  const parts: ChatPart[] = [{ control: 'bos' }];
  for (const [index, message] of rest.entries()) {
    const expected = index % 2 === 0 ? 'user' : 'assistant';
    if (message.role !== expected)
      throw new ChatFormatError(
        `messages must alternate user and assistant: message ${index + messages.length - rest.length} is ${message.role}, expected ${expected}`,
      );
    if (message.role === 'user') parts.push({ text: `[INST] ${index === 0 ? system : ''}${message.content} [/INST]` });
    else parts.push({ text: ` ${message.content}` }, { control: 'eos' });
  }
  if (rest.at(-1)?.role !== 'user') throw new ChatFormatError('the last message must be from the user');
  return parts;
}
