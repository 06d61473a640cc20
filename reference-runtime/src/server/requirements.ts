// What a request requires that not every pool serves, and what of its body only another server reads. Nothing is refused here that some pool
// could serve: which one does is known once the policy has decided (capabilities.ts).
import { CAPABILITY_NAMES, type Capability } from '../config/capabilities.ts';
import type { ChatMessage, GenerateRequest, PassedOn } from '../engine/types.ts';
import { badRequest, type HttpError } from './errors.ts';
import type { Body, ContentPart, WireMessage } from './openai-schema.ts';
import { BOOKKEEPING } from './openai-shape.ts';

/** A capability that a request requires, and the parameter that does. */
export interface Requirement {
  capability: Capability;
  param: string;
  /** What exactly of it, and the code of the refusal, where that says more than the names. */
  refusal?: HttpError;
}

/** How deep a value may be nested that is passed on: who reads it next may go into it by recursion. */
const MAX_DEPTH = 128;
/** Of an attachment, whose tokens only an engine counts, as an estimate: about an image of 1024 by 1024. */
export const ATTACHMENT_TOKENS = 1024;
/** Attachments themselves: base64, which is no text to a model. */
const ATTACHED = new Set(['url', 'data', 'file_data']);

/** The characters of the names and texts in a value, without recursion. @throws HttpError 400 when it is nested too deep */
function charactersOf(value: unknown, param: string): number {
  let characters = 0;
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw badRequest(`${param}: nested more than ${MAX_DEPTH} deep`, param, 'unsupported_value');
    const next: unknown[] = [];
    for (const each of level) {
      if (typeof each === 'string') characters += each.length;
      else if (Array.isArray(each)) for (const item of each) next.push(item);
      else if (typeof each === 'object' && each !== null)
        for (const [key, item] of Object.entries(each)) {
          characters += key.length;
          if (!ATTACHED.has(key) || typeof item !== 'string') next.push(item);
        }
    }
    level = next;
  }
  return characters;
}

const REQUIRES: Record<ContentPart['type'], Capability | undefined> = {
  text: undefined,
  image_url: 'image_input',
  input_audio: 'audio_input',
  file: 'file_input',
};

/** What the messages of a chat are and require. */
interface Chat {
  messages: ChatMessage[];
  requires: Requirement[];
  /** As the client sent them, where there is more in them than role and text. */
  wire: WireMessage[] | undefined;
  attachments: number;
}

function textOf(content: WireMessage['content']): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => part.text ?? '').join('');
}

/** @throws HttpError 400 for a tool's answer to nothing, or calls that nobody could have made */
export function chatOf(given: readonly WireMessage[]): Chat {
  const requires: Requirement[] = [];
  let more = false;
  let attachments = 0;
  const messages = given.map((message, index): ChatMessage => {
    const { role, content, name, tool_call_id: answers, tool_calls: calls } = message;
    const at = `messages.${index}`;
    const called = calls !== undefined && calls !== null && calls.length > 0;
    // Only an answer that called tools may be without content.
    if (!called && (content === undefined || content === null))
      throw badRequest(
        `${at}.content: missing; expected a text, or a list of parts`,
        `${at}.content`,
        content === null ? 'invalid_value' : 'missing_parameter',
      );
    if (called && role !== 'assistant')
      throw badRequest(
        `${at}.tool_calls: only a message of the assistant has tool calls, this one is of ${role}`,
        `${at}.tool_calls`,
      );
    if (role === 'tool' && answers === undefined)
      throw badRequest(`${at}.tool_call_id: missing; expected the id of a tool call`, `${at}.tool_call_id`, 'missing_parameter');
    if (called) requires.push({ capability: 'tools', param: `${at}.tool_calls` });
    if (role === 'tool') requires.push({ capability: 'tools', param: `${at}.role` });
    if (Array.isArray(content))
      for (const [place, { type }] of content.entries()) {
        const capability = REQUIRES[type];
        if (capability === undefined) continue;
        attachments++;
        requires.push({ capability, param: `${at}.content.${place}.type` });
      }
    more ||= called || role === 'tool' || attachments > 0 || (name !== undefined && name !== null);
    return { role: role === 'developer' ? 'system' : role, content: textOf(content) };
  });
  const system = (message: WireMessage): WireMessage => (message.role === 'developer' ? { ...message, role: 'system' } : message);
  return { messages, requires, wire: more ? given.map(system) : undefined, attachments };
}

/** The tools of a chat. @throws HttpError 400 for a choice among tools that are not there */
function toolsOf({ tools, tool_choice: choice }: Body): Requirement[] {
  if (tools === undefined || tools === null || tools.length === 0) {
    if (choice === undefined || choice === null || choice === 'none' || choice === 'auto') return [];
    throw badRequest('tool_choice: there are no tools to choose from; send tools', 'tool_choice');
  }
  const named = typeof choice === 'object' ? choice?.function?.name : undefined;
  if (named !== undefined && !tools.some((tool) => tool.function.name === named))
    throw badRequest('tool_choice: names a function that is not among the tools', 'tool_choice');
  if (typeof choice === 'object' && choice?.type === 'function' && named === undefined)
    throw badRequest(
      'tool_choice.function: missing; expected an object with a name',
      'tool_choice.function',
      'missing_parameter',
    );
  return [{ capability: 'tools', param: 'tools' }];
}

/** Sampling beside temperature, top_p and seed; what asks for nothing is absent. */
export type Sampling = Pick<GenerateRequest, 'frequencyPenalty' | 'presencePenalty' | 'logitBias' | 'topK' | 'minP'>;

/** The sampling of a body, and what it requires. */
export function samplingOf(body: Body): { sampling: Sampling; requires: Requirement[] } {
  const { frequency_penalty: frequency, presence_penalty: presence, top_k: topK, min_p: minP } = body;
  const sampling: Sampling = {};
  const requires: Requirement[] = [];
  const require = (capability: Capability, param: string): unknown => requires.push({ capability, param });
  if (frequency) {
    sampling.frequencyPenalty = frequency;
    require('penalties', 'frequency_penalty');
  }
  if (presence) {
    sampling.presencePenalty = presence;
    require('penalties', 'presence_penalty');
  }
  const biases = body.logit_bias ? Object.entries(body.logit_bias) : [];
  if (biases.length > 0) {
    sampling.logitBias = biases.map(([token, bias]) => [Number(token), bias] as const);
    require('logit_bias', 'logit_bias');
  }
  if (topK && topK > 0) {
    sampling.topK = topK;
    require('top_k', 'top_k');
  }
  if (minP) {
    sampling.minP = minP;
    require('min_p', 'min_p');
  }
  return { sampling, requires };
}

/** The first of each capability, in the order of the table. */
function distinct(requires: readonly Requirement[]): Requirement[] {
  if (requires.length === 0) return [];
  return CAPABILITY_NAMES.flatMap((name) => requires.find(({ capability }) => capability === name) ?? []);
}

/** What of a body is given, undefined where nothing is: of most requests. */
function present(body: Body, names: readonly string[]): Record<string, unknown> | undefined {
  let out: Record<string, unknown> | undefined;
  for (const name of names) {
    const value = (body as Record<string, unknown>)[name];
    if (value === undefined || value === null) continue;
    out ??= {};
    out[name] = value;
  }
  return out;
}

/** What only another server reads of a request, and what the request requires of it. */
export interface Beyond {
  requires: Requirement[];
  /** Absent where there is nothing. */
  passed?: PassedOn;
  /** Of prompt and tools, where that is more than the text of the messages. */
  characters?: number;
  attachments: number;
}

const TOOL_PARAMETERS = ['tools', 'tool_choice', 'parallel_tool_calls'];
const NOTHING = {};

/** @param found what was found to be required elsewhere @throws HttpError 400 */
export function beyond(body: Body, found: readonly Requirement[], chat?: Chat): Beyond {
  const requires = [...found];
  let parameters: Record<string, unknown> | undefined;
  let tools = false;
  if (chat !== undefined) {
    const called = toolsOf(body);
    tools = called.length > 0;
    requires.push(...called, ...chat.requires);
    const { reasoning_effort: effort } = body;
    if (effort && effort !== 'none') requires.push({ capability: 'reasoning_effort', param: 'reasoning_effort' });
    if (tools) parameters = present(body, TOOL_PARAMETERS);
    if (effort) parameters = { ...parameters, reasoning_effort: effort };
  }
  const bookkeeping = present(body, BOOKKEEPING);
  const wire = chat?.wire;
  const out: Beyond = { requires: distinct(requires), attachments: chat?.attachments ?? 0 };
  if (wire !== undefined || parameters !== undefined || bookkeeping !== undefined) {
    const rest = { parameters: parameters ?? NOTHING, bookkeeping: bookkeeping ?? NOTHING };
    out.passed = wire === undefined ? rest : { messages: wire, ...rest };
  }
  if (wire !== undefined || tools)
    out.characters = charactersOf(wire ?? chat?.messages, 'messages') + charactersOf(parameters, 'tools');
  return out;
}
