import type { ErrorObject, ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormatsModule from 'ajv-formats';
import { ConfigurationError, type Problem } from '../core/errors.ts';
import { shorten } from '../core/text.ts';
import { SCHEMAS, type SchemaName, type SchemaTypes } from '../generated/schemas.ts';
import type { Path, SourceDocument } from './document.ts';
import { listSome, nearest } from './suggest.ts';

// ajv-formats is CommonJS with a default export: NodeNext sees the namespace.
const addFormats = addFormatsModule as unknown as (ajv: Ajv2020) => Ajv2020;

let shared: Ajv2020 | undefined;
const compiled = new Map<string, ValidateFunction>();

function ajv(): Ajv2020 {
  if (shared === undefined) {
    shared = addFormats(new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true, verbose: true, useDefaults: false }));
    for (const schema of Object.values(SCHEMAS)) shared.addSchema(schema);
  }
  return shared;
}

/** Checks a value against one of the schemas in schemas/; every problem with its place in the file. */
export function problemsOf(name: SchemaName, doc: Pick<SourceDocument, 'value' | 'locate'>): Problem[] {
  let validate = compiled.get(name);
  if (validate === undefined) {
    validate = ajv().getSchema(SCHEMAS[name].$id) ?? ajv().compile(SCHEMAS[name]);
    compiled.set(name, validate);
  }
  if (validate(doc.value)) return [];
  return describeErrors(validate.errors ?? [], doc);
}

/** The document's value as the schema's type; throws ConfigurationError with every problem. */
export function checked<N extends SchemaName>(name: N, doc: Pick<SourceDocument, 'value' | 'locate'>): SchemaTypes[N] {
  const problems = problemsOf(name, doc);
  if (problems.length > 0) throw new ConfigurationError(problems);
  return doc.value as unknown as SchemaTypes[N];
}

/** Turns ajv's errors into problems with file and line, best explanation first, at most 50. */
function describeErrors(errors: readonly ErrorObject[], doc: Pick<SourceDocument, 'locate'>): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const error of errors) {
    // `if`, `anyOf` and `oneOf` only say that a branch failed; their branches' own errors say why.
    if (
      error.keyword === 'if' ||
      (['anyOf', 'oneOf'].includes(error.keyword) &&
        errors.some((e) => e !== error && e.instancePath.startsWith(error.instancePath)))
    )
      continue;
    const problem = describeError(error, doc);
    const key = `${problem.location?.line}:${problem.message}`;
    if (seen.has(key)) continue;
    seen.add(key);
    problems.push(problem);
    if (problems.length === 50) break;
  }
  return problems;
}

function describeError(error: ErrorObject, doc: Pick<SourceDocument, 'locate'>): Problem {
  const path: Path = error.instancePath
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  const name =
    path.length === 0
      ? 'the document'
      : path
          .map((step) => (/^\d+$/.test(String(step)) ? `[${step}]` : `.${step}`))
          .join('')
          .replace(/^\./, '');
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'additionalProperties':
    case 'unevaluatedProperties': {
      const key = String(params['additionalProperty'] ?? params['unevaluatedProperty']);
      const known = Object.keys((error.parentSchema as { properties?: object } | undefined)?.properties ?? {}).sort();
      const guess = nearest(key, known);
      return {
        message: `unknown key \`${key}\`${path.length === 0 ? '' : ` in ${name}`}.`,
        location: doc.locate([...path, key], 'key'),
        expected: `one of ${listSome(known)}`,
        ...(guess === undefined ? {} : { fix: `did you mean \`${guess}\`?` }),
      };
    }
    case 'required':
      return {
        message: `${name} lacks the key \`${String(params['missingProperty'])}\`.`,
        location: doc.locate(path),
        ...describe(
          (error.parentSchema as { properties?: Record<string, unknown> } | undefined)?.properties?.[
            String(params['missingProperty'])
          ],
        ),
      };
    case 'type':
      return {
        message: `${name} is ${typeName(error.data)}.`,
        location: doc.locate(path),
        expected: [params['type']]
          .flat()
          .map((type) => TYPE_NAMES[String(type)] ?? String(type))
          .join(' or '),
      };
    case 'enum': {
      const allowed = (params['allowedValues'] as unknown[]).map(String);
      const guess = typeof error.data === 'string' ? nearest(error.data, allowed) : undefined;
      return {
        message: `${name} is ${show(error.data)}.`,
        location: doc.locate(path),
        expected: `one of ${listSome(allowed)}`,
        ...(guess === undefined ? {} : { fix: `did you mean \`${guess}\`?` }),
      };
    }
    case 'const':
      return { message: `${name} is ${show(error.data)}.`, location: doc.locate(path), expected: show(params['allowedValue']) };
    case 'pattern':
    case 'format':
      return {
        message: `${name} is ${show(error.data)}.`,
        location: doc.locate(path),
        expected:
          (error.parentSchema as { description?: string } | undefined)?.description ??
          `${error.keyword} ${String(params['pattern'] ?? params['format'])}`,
      };
    default:
      return { message: `${name} ${error.message ?? error.keyword}.`, location: doc.locate(path) };
  }
}

/** JSON types as people who write YAML know them. */
const TYPE_NAMES: { readonly [type: string]: string | undefined } = {
  array: 'a list such as [a, b]',
  object: 'a mapping (`key: value` lines)',
  string: 'text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  null: 'nothing',
};

function describe(schema: unknown): { expected?: string } {
  const text = (schema as { description?: string } | undefined)?.description;
  return text === undefined ? {} : { expected: text.replace(/\.$/, '') };
}

/** What a value of YAML is, for `NAME is ...`. */
export function typeName(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return `${show(value)}, a ${typeof value}`;
}

function show(value: unknown): string {
  return shorten(JSON.stringify(value) ?? String(value), 80);
}
