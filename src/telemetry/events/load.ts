import { createContext, Script } from 'node:vm';
import type { ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormatsModule from 'ajv-formats';
import { decodeText, parseYaml, type SourceDocument } from '../../config/document.ts';
import { MixgateError, messageOf } from '../../core/errors.ts';
import type { Finding } from '../../core/finding.ts';
import type { FileTree } from '../../core/gate-context.ts';
import { isObject, type JsonObject } from '../../core/json.ts';
import { telemetryFinding } from '../rules.ts';
import { patiently } from './cpu-time.ts';

const addFormats = addFormatsModule as unknown as (ajv: Ajv2020) => Ajv2020;

/** The JSON Schema of one event's payload. */
export interface EventSchema {
  /** File name without `.schema.json`: the event's name. */
  readonly name: string;
  readonly schema: JsonObject;
  readonly document: SourceDocument;
  readonly validate: ValidateFunction;
}

const MAX_SCHEMA_BYTES = 1024 * 1024;
/** A pattern from a pull request may backtrack without end: V8 stops it after this time. */
const PATTERN_TIMEOUT_MS = 100;

/** Reads `*.schema.json` below a folder, by event name; what is wrong becomes findings. */
export async function loadEventSchemas(
  tree: FileTree,
  folder: string,
  findings: Finding[],
): Promise<ReadonlyMap<string, EventSchema>> {
  const paths = (await tree.list(folder)).filter((path) => path.endsWith('.schema.json'));
  const contents = await tree.readMany(paths);
  const schemas = new Map<string, EventSchema>();
  for (const path of paths) {
    const bytes = contents.get(path);
    if (bytes === undefined) continue;
    const schema = readSchema(path, bytes, findings);
    if (schema === undefined) continue;
    const earlier = schemas.get(schema.name);
    if (earlier === undefined) schemas.set(schema.name, schema);
    else
      findings.push(
        invalid(`The event \`${schema.name}\` has two schemas: here and ${earlier.document.file}.`, { file: path }, 'Keep one.'),
      );
  }
  return schemas;
}

function readSchema(path: string, bytes: Buffer, findings: Finding[]): EventSchema | undefined {
  let document: SourceDocument;
  try {
    document = parseYaml(decodeText(bytes, path, MAX_SCHEMA_BYTES), path);
  } catch (error) {
    if (!(error instanceof MixgateError)) throw error;
    findings.push(
      ...error.problems.map((problem) =>
        invalid(`The event schema cannot be read: ${problem.message}`, problem.location ?? { file: path }, problem.fix),
      ),
    );
    return undefined;
  }
  const schema = document.value;
  if (!isObject(schema)) {
    findings.push(invalid('The event schema is not a JSON object.', document.locate([])));
    return undefined;
  }
  const ajv = addFormats(new Ajv2020({ strict: false, allErrors: true, validateFormats: true, code: { regExp: boundedRegExp } }));
  if (ajv.validateSchema(schema) !== true) {
    for (const error of (ajv.errors ?? []).slice(0, 10)) {
      const steps = error.instancePath
        .split('/')
        .slice(1)
        .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
      findings.push(
        invalid(
          `The event schema is not valid JSON Schema: ${steps.join('.') || 'the document'} ${error.message ?? ''}.`,
          document.locate(steps),
        ),
      );
    }
    return undefined;
  }
  try {
    // The payload may carry any $id twice in one repository; it is of no use here.
    const { $id: _ignored, ...rest } = schema;
    return {
      name: path
        .split('/')
        .at(-1)!
        .replace(/\.schema\.json$/, ''),
      schema,
      document,
      validate: ajv.compile(rest),
    };
  } catch (error) {
    findings.push(invalid(`The event schema cannot be used: ${messageOf(error)}.`, document.locate([])));
    return undefined;
  }
}

// One context and script for all patterns: making them anew for each test would cost a millisecond a time.
const MATCH = new Script('regexp.test(text)');
const matchContext: { regexp?: RegExp; text?: string } = createContext({});

/** A RegExp whose `test` throws after PATTERN_TIMEOUT_MS; `vm` is only the stopwatch here, the pattern is no code. */
function boundedRegExp(pattern: string, flags: string): RegExp {
  const regexp = new RegExp(pattern, flags);
  const test = (text: string): boolean => {
    matchContext.regexp = regexp;
    matchContext.text = text;
    // Half: what is stopped has computed nearly all the time, unless others had the processor.
    return patiently(() => MATCH.runInContext(matchContext, { timeout: PATTERN_TIMEOUT_MS }) === true, PATTERN_TIMEOUT_MS / 2);
  };
  // ajv keeps one object per distinct text of a pattern: without a text of its own, every pattern would be the first one.
  return { test, source: pattern, flags, toString: () => regexp.toString() } as unknown as RegExp;
}
boundedRegExp.code = 'new RegExp';

function invalid(message: string, location: { readonly file: string; readonly line?: number }, fix?: string): Finding {
  return telemetryFinding('telemetry-event-schema-invalid', {
    message,
    location,
    subject: location.file,
    ...(fix === undefined ? {} : { fix }),
  });
}
