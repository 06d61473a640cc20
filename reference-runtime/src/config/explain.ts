// What ajv found wrong in a configuration, in words: what is there, what was expected, and what was probably meant.
import type { ErrorObject } from 'ajv/dist/2020.js';
import { nearest } from '../../../src/config/suggest.ts';

/** A problem with the JSON pointer of the place it is shown at. */
export interface Explained {
  path: string;
  message: string;
}

const CHOICES = new Set(['oneOf', 'anyOf']);

/** The problems that errors stand for: of alternatives, what is wrong inside the one that was meant, or else which there are. */
export function explainErrors(errors: readonly ErrorObject[]): Explained[] {
  const choices = errors.filter(({ keyword }) => CHOICES.has(keyword));
  const inside = (error: ErrorObject, choice: ErrorObject): boolean => error.schemaPath.startsWith(`${choice.schemaPath}/`);
  // An alternative of another kind than what is there was not meant.
  const wrongKind = ({ keyword, instancePath }: ErrorObject, choice: ErrorObject): boolean =>
    (keyword === 'const' || keyword === 'type') && instancePath === choice.instancePath;
  return errors
    .filter((error) => error.keyword !== 'if')
    .filter((error) => !choices.some((choice) => inside(error, choice) && wrongKind(error, choice)))
    .filter((error) => !CHOICES.has(error.keyword) || !errors.some((other) => inside(other, error) && !wrongKind(other, error)))
    .map(explain);
}

function explain(error: ErrorObject): Explained {
  const path = error.instancePath;
  const at = path === '' ? 'the configuration' : path.slice(1).replaceAll('/', '.');
  const params = error.params as Record<string, unknown>;
  const parent = (error.parentSchema ?? {}) as { properties?: object; description?: string };
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(params['additionalProperty']);
      const known = Object.keys(parent.properties ?? {});
      const guess = nearest(key, known);
      const hint = guess === undefined ? '' : ` (did you mean ${guess}?)`;
      return {
        path: `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`,
        message: `${at}: unknown key ${key}${hint}${known.length > 0 ? `; known: ${known.join(', ')}` : ''}`,
      };
    }
    case 'required':
      return { path, message: `${at}: ${String(params['missingProperty'])} is missing` };
    case 'enum':
      return { path, message: `${at}: expected one of ${(params['allowedValues'] as unknown[]).join(', ')}` };
    case 'oneOf':
    case 'anyOf':
      return { path, message: `${at}: expected ${(error.schema as object[]).map(kindOf).join(', or ')}` };
    case 'pattern': {
      const meaning = parent.description === undefined ? '' : ` (${parent.description.replace(/\.$/, '')})`;
      return { path, message: `${at} ${error.message ?? 'is not valid'}${meaning}` };
    }
    default:
      return { path, message: `${at} ${error.message ?? 'is not valid'}` };
  }
}

/** An alternative of a schema in words. */
function kindOf(schema: { const?: unknown; enum?: unknown[]; type?: unknown; required?: string[] }): string {
  if (schema.const !== undefined) return String(schema.const);
  if (schema.enum !== undefined) return schema.enum.join(', ');
  const required = schema.required ?? [];
  return `${String(schema.type ?? 'another value')}${required.length > 0 ? ` with ${required.join(', ')}` : ''}`;
}
