import { randomBytes } from 'node:crypto';
import type { Json } from '../core/json.ts';
import { append, groupBy } from '../core/multimap.ts';
import type { Modules, PolicySource } from '../rego/source.ts';
import { OutputLimit } from '../tools/exec.ts';
import type { AstModule } from './ast.ts';
import { sourceText } from './ast.ts';
import { type Definition, definitionsOf } from './definitions.ts';
import { applyEdits, type Edit, offsetOf } from './edits.ts';
import { bodyEdits, valueText } from './instrument.ts';
import type { Opa, TestResult } from './opa.ts';
import { OpaRefused } from './opa-problems.ts';

/** Which definitions held while the policy's own tests ran, and what its entrypoints decided meanwhile. */
export interface RuleCoverage {
  /** Definitions that the measurement can tell of, defaults among them, in order of file and line. */
  readonly measured: readonly Definition[];
  /** Tests in which each definition decided something, by its id: a body held, a default was used. */
  readonly tests: ReadonlyMap<string, number>;
  /** Decisions of each entrypoint (`package/rule`), in order of the tests; undefined: there was none. */
  readonly decisions: ReadonlyMap<string, readonly (Json | undefined)[]>;
}

/** Printing takes time: four times what a test may take otherwise. */
const TIMEOUT_S = 20;

export type MeasuredCoverage = RuleCoverage | { readonly unmeasured: string };

/**
 * Runs the tests once more on a policy whose definitions say so when they hold. They say it by `print`, which OPA
 * collects a test, so everything that a test may do counts as it does in `opa test`: `with input`, `with data`, mocked
 * rules, functions and builtins, tables of cases. What counts is the definition (a body, a link of an else chain, a
 * default), not the line, so the layout of the source has no say in it. The tests must have passed.
 */
export async function measureRules(
  opa: Opa,
  source: Pick<PolicySource, 'modules' | 'tests' | 'invariants' | 'data'>,
  entrypoints: readonly string[],
): Promise<MeasuredCoverage> {
  // Nothing in a test can guess it, so nothing in a test can print it.
  const mark = `mixgate-${randomBytes(8).toString('hex')}`;
  let results: readonly TestResult[];
  let told: Told;
  try {
    const asts = await opa.parse(source.modules);
    const definitions = definitionsOf(asts);
    const shadowed = definitions.find((d) => ['print', 'json'].includes(d.rule.slice(d.package.length + 1).split('.')[0]!));
    if (shadowed !== undefined)
      return { unmeasured: `the rule ${shadowed.rule} hides a builtin of OPA that the measurement needs` };
    told = telling(source.modules, asts, definitions, entrypoints, mark);
    results = await opa.test(new Map([...told.modules, ...source.invariants, ...source.tests]), source.data, TIMEOUT_S);
  } catch (error) {
    if (error instanceof OpaRefused)
      return {
        unmeasured: `OPA refuses the policy with a print in each rule: ${(error.problems[0]?.message ?? 'error').replaceAll(mark, 'mixgate')}`,
      };
    if (error instanceof OutputLimit) return { unmeasured: 'the tests evaluate rules so often that what they print is too much' };
    throw error;
  }
  const odd = results.find((r) => r.outcome === 'fail' || r.outcome === 'error');
  if (odd !== undefined) return { unmeasured: `${odd.name} does not pass on the policy with a print in each rule` };
  return tally(told, results, mark);
}

interface Told {
  readonly modules: Modules;
  readonly measured: readonly Definition[];
  /** Definitions of each rule that has brackets, and those brackets (one pair a module) in order of evaluation. */
  readonly bracketed: ReadonlyMap<string, { readonly pairs: number; readonly fallback: Definition | undefined }>;
  /** Rules whose values are told, with their entrypoint. */
  readonly entrypoints: ReadonlyMap<string, string>;
}

/**
 * The policy with `print` behind each body. A default has no body: to see it used, the rule gets one definition before
 * all others and one behind them in every module, both of which print and then fail. When the two follow each other with
 * nothing of the rule between, no other definition held. They also give another value than the rest, which keeps OPA
 * from leaving out definitions that would agree with one that held.
 */
function telling(
  modules: Modules,
  asts: ReadonlyMap<string, AstModule>,
  definitions: readonly Definition[],
  entrypoints: readonly string[],
  mark: string,
): Told {
  const asked = new Map(entrypoints.map((e) => [e.replaceAll('/', '.'), e]));
  const byRule = groupBy(definitions, (definition) => definition.rule);
  const edits = new Map<string, Edit[]>();
  const edit = (file: string, ...more: readonly Edit[]): void => {
    append(edits, file, ...more);
  };
  const measured = new Set<string>();
  const closing: [file: string, edit: Edit][] = [];
  const bracketed = new Map<string, { pairs: number; fallback: Definition | undefined }>();
  for (const [rule, all] of byRule) {
    const fallback = all.find((d) => d.kind === 'default');
    const several =
      all.filter((d) => d.kind !== 'default').length > 1 && all.some((d) => d.kind !== 'set' && d.kind !== 'object');
    if (fallback === undefined && !asked.has(rule) && !several) continue;
    const files = [...new Set(all.map((d) => d.file))];
    const planned = files.map((file) => brackets(modules.get(file)!, asts.get(file)!, all, mark));
    if (planned.includes(undefined)) continue;
    for (const [index, file] of files.entries()) {
      edit(file, planned[index]![0]);
      closing.push([file, planned[index]![1]]);
    }
    bracketed.set(rule, { pairs: files.length, fallback });
    if (fallback !== undefined) measured.add(fallback.id);
  }
  for (const definition of definitions) {
    if (definition.kind === 'default') continue;
    const value = valueText(definition);
    const told = asked.has(definition.rule) ? `, json.marshal(${value})` : '';
    // A body that holds decides nothing where the value is undefined.
    const defined = definition.literal === undefined && value !== 'true' ? `_ = ${value}; ` : '';
    const planned = bodyEdits(
      modules.get(definition.file)!,
      definition,
      undefined,
      `${defined}print("${mark} + ${definition.id}"${told})`,
    );
    if (planned === undefined) continue;
    edit(definition.file, ...planned);
    measured.add(definition.id);
  }
  // The last body may end where the module ends: its own edit goes first.
  for (const [file, last] of closing) edit(file, last);
  return {
    modules: new Map([...modules].map(([path, text]) => [path, applyEdits(text, edits.get(path) ?? [])])),
    measured: definitions.filter((d) => measured.has(d.id)),
    bracketed,
    entrypoints: new Map([...asked].filter(([rule]) => byRule.has(rule))),
  };
}

/** The definitions around all others of a rule in one module; undefined for a head whose shape isn't known. */
function brackets(source: string, ast: AstModule, all: readonly Definition[], mark: string): readonly [Edit, Edit] | undefined {
  const first = all[0]!;
  const name = first.rule.slice(first.package.length + 1);
  const start = behindPackage(source, ast);
  if (start === undefined || !/^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$/.test(name)) return undefined;
  const kinds = new Set(all.map((d) => d.kind));
  const taken = all.find((d) => d.takesArguments)?.ast.head.args?.length ?? 0;
  const head = kinds.has('set')
    ? `${name} contains "${mark}"`
    : kinds.has('object')
      ? `${name}["${mark}"] := "${mark}"`
      : `${name}${taken === 0 ? '' : `(${Array.from({ length: taken }, () => '_').join(', ')})`} := "${mark}"`;
  const one = (sign: string): string => `\n${head} if { print("${mark} ${sign} ${first.rule}"); false }\n`;
  return [
    { offset: start, text: one('[') },
    { offset: source.length, text: one(']') },
  ];
}

/** Before imports and annotations, which belong to what follows them. */
function behindPackage(source: string, ast: AstModule): number | undefined {
  const last = ast.package.path.at(-1)?.location;
  const start = last === undefined ? undefined : offsetOf(source, last);
  if (start === undefined) return undefined;
  const end = start + (sourceText(last) ?? '').length;
  return end + (/^\s*\]/.exec(source.slice(end))?.[0].length ?? 0);
}

function tally(told: Told, results: readonly TestResult[], mark: string): RuleCoverage {
  const byId = new Map(told.measured.map((d) => [d.id, d]));
  const tests = new Map<string, number>();
  const decisions = new Map<string, (Json | undefined)[]>([...told.entrypoints.values()].map((e) => [e, []]));
  for (const result of results) {
    if (result.outcome !== 'pass') continue;
    const seen = new Set<string>();
    /** Brackets of each rule since something else of it was said. */
    const empty = new Map<string, string>();
    for (const line of (result.output ?? '').split('\n')) {
      if (!line.startsWith(`${mark} `)) continue;
      const [sign, name] = line.slice(mark.length + 1).split(' ', 2) as [string, string];
      if (sign === '+') {
        const definition = byId.get(name);
        if (definition === undefined) continue;
        seen.add(name);
        empty.delete(definition.rule);
        const value = jsonOf(line.slice(`${mark} + ${name} `.length));
        const entrypoint = told.entrypoints.get(definition.rule);
        if (entrypoint !== undefined && value !== undefined) decisions.get(entrypoint)!.push(decided(definition, value));
        continue;
      }
      const bracket = told.bracketed.get(name);
      if (bracket === undefined) continue;
      const pair = '[]'.repeat(bracket.pairs);
      // What held before in an evaluation around this one ends with `]`; a new evaluation starts with `[`.
      const so = `${empty.get(name) ?? ''}${sign}`;
      const now = pair.startsWith(so) ? so : pair.startsWith(sign) ? sign : '';
      empty.set(name, now === pair ? '' : now);
      if (now !== pair) continue;
      if (bracket.fallback !== undefined) seen.add(bracket.fallback.id);
      const entrypoint = told.entrypoints.get(name);
      if (entrypoint !== undefined) decisions.get(entrypoint)!.push(nothingHeld(told, name, bracket.fallback));
    }
    for (const id of seen) tests.set(id, (tests.get(id) ?? 0) + 1);
  }
  return { measured: told.measured, tests, decisions };
}

function jsonOf(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** Of a set or an object each member is told on its own. */
function decided(definition: Definition, value: Json): Json {
  if (definition.kind === 'set') return [value];
  if (definition.kind === 'object' && Array.isArray(value)) return { [String(value[0])]: value[1] as Json };
  return value;
}

function nothingHeld(told: Told, rule: string, fallback: Definition | undefined): Json | undefined {
  if (fallback !== undefined) return fallback.literal;
  const kind = told.measured.find((d) => d.rule === rule)?.kind;
  return kind === 'set' ? [] : kind === 'object' ? {} : undefined;
}
