// Token ids to bytes, read from the GGUF itself: exact for byte tokens, and the same whether a token comes alone or in a row.
import { openGguf } from '../gguf/reader.ts';
import type { TraceText } from './types.ts';

const TOKEN_CONTROL = 3;
const TOKEN_UNKNOWN = 2;
const TOKEN_BYTE = 6;

/** The bytes of every token of a model. Control tokens have none. */
export interface Vocabulary {
  size: number;
  /** What a text begins with; undefined where the model wants nothing there. */
  bos: number | undefined;
  eos: number | undefined;
  /** The most bytes of a text that one token stands for. */
  longest: number;
  bytes(token: number): Uint8Array;
  /** The token as text for reports: control tokens by name, bytes that are no UTF-8 as U+FFFD. */
  label(token: number): string;
}

/** GPT-2's reversible mapping of bytes to printable characters (Radford et al. 2019, encoder.py), inverted. */
function byteLevelInverse(): Map<string, number> {
  const printable = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  const out = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) out.set(String.fromCodePoint(printable(byte) ? byte : next++), byte);
  return out;
}

/** Reads the vocabulary of a GGUF file. @throws Error when the tokenizer is of a kind that cannot be mapped to bytes */
export function readVocabulary(path: string): Vocabulary {
  using file = openGguf(path);
  const meta = (key: string): unknown => file.header.metadata.get(`tokenizer.ggml.${key}`)?.value;
  const model = meta('model');
  const pieces = meta('tokens') as string[];
  const types = meta('token_type') as number[] | undefined;
  if (model !== 'llama' && model !== 'gpt2')
    throw new Error(`tokenizer kind ${String(model)} is not supported; expected llama (SentencePiece) or gpt2 (byte-level BPE)`);
  const inverse = byteLevelInverse();
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  const special = (token: number): boolean => types?.[token] === TOKEN_CONTROL || types?.[token] === TOKEN_UNKNOWN;
  const empty = new Uint8Array();
  const bytesOf = (piece: string, token: number): Uint8Array => {
    if (special(token)) return empty;
    if (model === 'gpt2') return Uint8Array.from(Array.from(piece, (char) => inverse.get(char) ?? 0x3f));
    const byte = types?.[token] === TOKEN_BYTE ? /^<0x([0-9A-Fa-f]{2})>$/.exec(piece)?.[1] : undefined;
    return byte === undefined ? encoder.encode(piece.replaceAll('\u2581', ' ')) : Uint8Array.of(Number.parseInt(byte, 16));
  };
  const table = pieces.map(bytesOf);
  const id = (key: string): number | undefined => (typeof meta(key) === 'number' ? (meta(key) as number) : undefined);
  // A file may name a token and not want it in front (Qwen). Without a word llama.cpp puts it before SentencePiece text only (llama-vocab.cpp).
  const addBos = meta('add_bos_token') ?? model === 'llama';
  return {
    size: pieces.length,
    bos: addBos === true ? id('bos_token_id') : undefined,
    eos: id('eos_token_id'),
    // A character that no piece has is one token: of UTF-8, up to four bytes.
    longest: table.reduce((longest, { length }) => Math.max(longest, length), 4),
    bytes: (token) => table[token] ?? empty,
    label: (token) => (special(token) ? (pieces[token] ?? '') : decoder.decode(table[token] ?? empty)),
  };
}

/** What the positions of a trace are. */
export function traceText(vocabulary: Vocabulary, prompt: readonly number[], completion: readonly number[]): TraceText {
  const ids = Int32Array.from([...prompt, ...completion]);
  return { promptTokens: prompt.length, ids, texts: Array.from(ids, (id) => exactLabel(vocabulary, id)) };
}

function exactLabel(vocabulary: Vocabulary, token: number): string {
  const label = vocabulary.label(token);
  if (!label.includes('\uFFFD')) return label;
  return `bytes:${[...vocabulary.bytes(token)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}
