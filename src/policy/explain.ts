import type { Location } from '../core/finding.ts';
import { canonicalJson, type Json } from '../core/json.ts';
import { type AstExpression, type AstLocation, locationOf, refPath, sourceText, walkTerms } from './ast.ts';
import { compileProgram } from './compile.ts';
import { allows, decisionOf } from './decision.ts';
import { type Definition, importsOf, splitBody } from './definitions.ts';
import { type Domain, type InputPath, pathText, valueAt, withValue } from './domain.ts';
import { OpaRefused } from './opa-problems.ts';
import type { Side } from './side.ts';
import { type Outcome, PolicyLoadError } from './wasm.ts';

/** A definition that did not hold, and what stopped it. */
export interface Unfired {
  readonly definition: Definition;
  /**
   * The first expression that failed: with all before it the body still has a solution, with it none. Undefined when
   * the definition would hold but nothing that was evaluated asked for it.
   */
  readonly failed?: { readonly text: string; readonly location: Location };
  /** What that expression reads: constant paths of input and data, each with its value; undefined where it is absent. */
  readonly reads: readonly { readonly path: string; readonly value: Json | undefined }[];
  /** The earlier link of its else chain that decided instead. */
  readonly outranked?: Definition;
}

/** A change of the input after which the decision is another one. */
export interface Flip {
  readonly changes: readonly { readonly path: string; readonly from: Json | undefined; readonly to: Json | undefined }[];
  readonly decision: Json | undefined;
}

export interface Counterfactual {
  /** The smallest changes that flip the decision, in the domain's order; empty when none was found. */
  readonly flips: readonly Flip[];
  /** Inputs evaluated. */
  readonly looked: number;
  /** Every change of one and of two fields was looked at. */
  readonly complete: boolean;
}

const MAX_FLIPS = 5;
const MAX_TRIED = 20_000;

/**
 * Why the definitions that the entrypoint reaches did not hold: each prefix of each body becomes a rule beside it, in
 * the same module, and one evaluation tells which prefixes have a solution. Functions are left out (their arguments are
 * bound by callers). Undefined when OPA refuses the edited modules.
 */
export async function unfiredOf(side: Side, input: Json, fired: readonly Definition[]): Promise<readonly Unfired[] | undefined> {
  const held = new Set(fired.map((d) => d.id));
  const wanted = side.definitions.filter(
    (d) => !held.has(d.id) && !d.takesArguments && d.kind !== 'default' && side.graph.depth.has(d.rule),
  );
  if (wanted.length === 0) return [];
  const modules = new Map(side.source.modules);
  const aggregate: string[] = [];
  for (const d of wanted) {
    const texts = stepsOf(d).map((step) => step.probe);
    for (let k = 1; k <= texts.length; k += 1) {
      const part = texts.slice(0, k);
      if (part.includes(undefined)) break;
      const name = `mixgate_probe_${d.id}_${k}`;
      modules.set(d.file, `${modules.get(d.file)!}\n${name} if {\n\t${part.join('\n\t')}\n}\n`);
      aggregate.push(`reached contains "${d.id} ${k}" if data.${d.package}.${name}`);
    }
  }
  modules.set('mixgate_probe.rego', `package mixgate_probe\n\nreached := set()\n`);
  if (aggregate.length > 0) modules.set('mixgate_probe.rego', `package mixgate_probe\n\n${aggregate.join('\n\n')}\n`);
  const entrypoint = 'mixgate_probe/reached';
  let outcome: Outcome;
  try {
    const program = await compileProgram(side.opa, modules, side.source.data, [entrypoint]);
    outcome = (await side.pool.outcomes(side.pool.add(program), entrypoint, [JSON.stringify(input)]))[0]!;
  } catch (error) {
    if (error instanceof OpaRefused || error instanceof PolicyLoadError) return undefined;
    throw error;
  }
  if (!('value' in outcome)) return undefined;
  const reached = new Set(JSON.parse(outcome.value) as string[]);
  return wanted.map((definition) => {
    const { id, chain, file } = definition;
    const failing = stepsOf(definition).find((_, k) => !reached.has(`${id} ${k + 1}`));
    const outranked = chain.map((link) => side.graph.byId.get(link)).find((link) => link !== undefined && held.has(link.id));
    return {
      definition,
      ...(outranked === undefined ? {} : { outranked }),
      ...(failing?.location === undefined || failing.text === undefined
        ? {}
        : { failed: { text: failing.text.replace(/\s+/g, ' '), location: locationOf(failing.location, file) } }),
      reads: failing === undefined ? [] : readsOf(side, definition, failing.terms, input),
    };
  });
}

interface Step {
  readonly text: string | undefined;
  /** The text as an expression of a probe's body. */
  readonly probe: string | undefined;
  readonly location: AstLocation | undefined;
  readonly terms: unknown;
}

/** What must succeed in turn for a definition to hold: its expressions, then its value or key. */
function stepsOf(definition: Definition): readonly Step[] {
  const { ast } = definition;
  const body = splitBody(ast).fact
    ? []
    : ast.body.map((e): Step => {
        const text = expressionText(definition, e);
        return { text, probe: text, location: e.location, terms: e.terms };
      });
  const value = definition.kind === 'set' ? ast.head.key : ast.head.value;
  const text = sourceText(value?.location);
  if (value === undefined || text === undefined || text === '') return body;
  return [...body, { text, probe: `mixgate_value := ${text}`, location: value.location, terms: value }];
}

/** An expression's own source: the text that OPA gives a body without braces runs on into the links after it. */
function expressionText({ ast, body }: Definition, expression: AstExpression): string | undefined {
  if (ast.body.length === 1 && !body.startsWith('{')) return body;
  return sourceText(expression.location)?.trim();
}

function readsOf(side: Side, definition: Definition, terms: unknown, input: Json): Unfired['reads'] {
  const scope = importsOf(side.asts.get(definition.file)!);
  const found = new Map<string, Json | undefined>();
  walkTerms(terms, (term) => {
    const ref = refPath(term);
    if (ref === undefined) return;
    const [head, ...path] = [...(scope.get(ref.head) ?? [ref.head]), ...ref.path];
    if (path.length === 0 || (head !== 'input' && head !== 'data')) return;
    const value = valueAt(head === 'input' ? input : side.source.data, path);
    // A data path that isn't in the document is a rule: it has no value of its own to show.
    if (head === 'data' && value === undefined) return;
    found.set(pathText([head, ...path]), value);
  });
  // An imported name is met as a whole too, beside the member of it that is read.
  const paths = [...found.keys()];
  return [...found].flatMap(([path, value]) =>
    paths.some((longer) => longer.startsWith(`${path}.`) || longer.startsWith(`${path}[`)) ? [] : [{ path, value }],
  );
}

/** Input fields that the rules the entrypoint reaches name, and that this input lacks. */
export function absentFields(side: Side, input: Json): readonly string[] {
  const found = new Set<string>();
  for (const d of side.definitions) {
    if (!side.graph.depth.has(d.rule)) continue;
    const scope = importsOf(side.asts.get(d.file)!);
    walkTerms([d.ast.head.value, d.ast.head.key, d.ast.body], (term) => {
      const ref = refPath(term);
      if (ref === undefined) return;
      const [head, ...path] = [...(scope.get(ref.head) ?? [ref.head]), ...ref.path];
      if (head === 'input' && path.length > 0 && valueAt(input, path) === undefined) found.add(pathText(path));
    });
  }
  return [...found].sort();
}

/**
 * The smallest changes of the input, within the choices of a domain, that flip the decision (Wachter, Mittelstadt and
 * Russell, "Counterfactual Explanations without Opening the Black Box", 2017): one field first, then two. A decision
 * flips when `allow` does, or becomes defined or undefined; one without `allow` when it differs.
 */
export async function counterfactual(
  side: Side,
  entrypoint: string,
  input: Json,
  outcome: Outcome,
  domain: Domain,
): Promise<Counterfactual> {
  const before = decisionOf(outcome);
  const single: (readonly [InputPath, Json | undefined])[] = [];
  for (const { path, choices } of domain.dimensions) {
    if (!hasPlace(input, path)) continue;
    const own = valueAt(input, path);
    for (const { json } of choices) {
      if (json === undefined ? own === undefined : own !== undefined && canonicalJson(own) === canonicalJson(json)) continue;
      single.push([path, json]);
    }
  }
  const pairs = single.flatMap((a, i) => single.slice(i + 1).flatMap((b) => (a[0] === b[0] ? [] : [[a, b]])));
  let looked = 0;
  for (const candidates of [single.map((change) => [change]), pairs.slice(0, MAX_TRIED)]) {
    const inputs = candidates.map((changes) =>
      // Removals last, so that places in arrays stay true.
      [...changes]
        .sort((a, b) => Number(a[1] === undefined) - Number(b[1] === undefined))
        .reduce((value, [path, to]) => withValue(value, path, to), input),
    );
    const outcomes = await side.pool.outcomes(
      side.plain,
      entrypoint,
      inputs.map((i) => JSON.stringify(i)),
    );
    looked += inputs.length;
    const flips = candidates.flatMap((changes, index): Flip[] => {
      const after = outcomes[index]!;
      if ('failure' in after || !flipped(before, decisionOf(after))) return [];
      return [
        {
          changes: changes.map(([path, to]) => ({ path: pathText(path), from: valueAt(input, path), to })),
          decision: decisionOf(after),
        },
      ];
    });
    if (flips.length > 0) return { flips: flips.slice(0, MAX_FLIPS), looked, complete: true };
  }
  return { flips: [], looked, complete: pairs.length <= MAX_TRIED };
}

function hasPlace(input: Json, path: InputPath): boolean {
  const parent = path.length === 1 ? input : valueAt(input, path.slice(0, -1));
  const last = path.at(-1)!;
  return typeof last === 'number'
    ? Array.isArray(parent) && last < parent.length
    : typeof parent === 'object' && parent !== null && !Array.isArray(parent);
}

function flipped(before: Json | undefined, after: Json | undefined): boolean {
  if (before === undefined || after === undefined) return before !== after;
  const [was, is] = [allows(before), allows(after)];
  return was === undefined && is === undefined ? canonicalJson(before) !== canonicalJson(after) : was !== is;
}
