import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { RE2JS } from 're2js';
import { messageOf } from '../../core/errors.ts';

/** What a right answer looks like; `check` of a prompt line. */
export type AnswerCheck =
  /** The whole answer, without white space around it. */
  | { readonly kind: 'exact' | 'contains'; readonly value: string }
  /** RE2 syntax, found anywhere in the answer; linear in its length. */
  | { readonly kind: 'regex'; readonly value: string }
  /** JSON; with `schema`, an instance of it (draft 2020-12). */
  | { readonly kind: 'json'; readonly schema?: object }
  /** JavaScript that must run: the answer (its first fenced block, if it has one), then `value`, which throws when it is wrong. */
  | { readonly kind: 'code'; readonly value: string };

const EXPECTED =
  '`check` is not {"kind": "exact" | "contains" | "regex" | "code", "value": "..."} or {"kind": "json", "schema": {...}}.';

/** A check from a prompt line, or what is wrong with it. */
export function parseCheck(value: unknown): AnswerCheck | string {
  const { kind, value: expected, schema } = (value ?? {}) as { kind?: unknown; value?: unknown; schema?: unknown };
  if (kind === 'json') {
    if (schema === undefined) return { kind };
    if (typeof schema !== 'object' || schema === null) return '`check.schema` is not a JSON Schema object.';
    try {
      validator(schema);
    } catch (cause) {
      return `\`check.schema\` cannot be used: ${messageOf(cause)}.`;
    }
    return { kind, schema };
  }
  if (typeof expected !== 'string' || expected === '') return EXPECTED;
  if (kind === 'exact' || kind === 'contains' || kind === 'code') return { kind, value: expected };
  if (kind !== 'regex') return EXPECTED;
  try {
    RE2JS.compile(expected);
  } catch (cause) {
    return `\`check.value\` is no RE2 pattern: ${messageOf(cause)}.`;
  }
  return { kind, value: expected };
}

/** Whether an answer passes; `code` is answered by code-run.ts, which needs a process. */
export function passesCheck(check: Exclude<AnswerCheck, { readonly kind: 'code' }>, text: string): boolean {
  switch (check.kind) {
    case 'exact':
      return text.trim() === check.value;
    case 'contains':
      return text.includes(check.value);
    case 'regex':
      return RE2JS.compile(check.value).matcher(text).find();
    case 'json': {
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch {
        return false;
      }
      return check.schema === undefined || validator(check.schema)(parsed) === true;
    }
  }
}

/** The code of an answer: its first fenced block, else all of it. */
export function codeOf(text: string): string {
  return /```[^\n]*\n([\s\S]*?)(?:```|$)/.exec(text)?.[1] ?? text;
}

const validators = new WeakMap<object, ValidateFunction>();

function validator(schema: object): ValidateFunction {
  const known = validators.get(schema);
  if (known !== undefined) return known;
  const made = new Ajv2020({ strict: false, validateFormats: false, code: { regExp: linearRegExp } }).compile(schema);
  validators.set(schema, made);
  return made;
}

/** `pattern` meets text of a model: RE2 can't be driven into exponential time. */
function linearRegExp(pattern: string): RegExp {
  const compiled = RE2JS.compile(pattern);
  // ajv keeps one object per distinct text of a pattern.
  return { test: (text: string) => compiled.matcher(text).find(), source: pattern, toString: () => pattern } as unknown as RegExp;
}
linearRegExp.code = 'new RegExp';
