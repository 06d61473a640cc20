import type { LineChart, Measurement, Table } from '../core/gate.ts';
import { isObject, type Json, type JsonObject } from '../core/json.ts';
import type { Modules } from '../rego/source.ts';
import { sourceText } from './ast.ts';
import { summarise } from './bench.ts';
import { compileProgram } from './compile.ts';
import { type Definition, splitBody } from './definitions.ts';
import { type InputPath, pathText, valueAt, withValue } from './domain.ts';
import { OpaRefused } from './opa-problems.ts';
import type { Side } from './side.ts';
import { EvaluationLimit } from './tasks.ts';
import { PolicyLoadError } from './wasm.ts';

const GROWTH_FACTORS = [1, 4, 16] as const;
/** Inputs that are scaled: sixteen times a thousand inputs would be a large message. */
const MAX_INPUTS = 50;
/** Characters of a scaled data document, or of all scaled inputs; what would be larger is not measured. */
const MAX_SCALED = 32 * 1024 * 1024;

export interface GrowthOptions {
  readonly entrypoint: string;
  /** JSON texts. */
  readonly inputs: readonly string[];
  readonly budgetMs: number;
  /** Evaluations at each size. */
  readonly rounds: number;
  /** Array in the input whose members are multiplied, e.g. fleet.pools. */
  readonly inputPath: InputPath;
  /** Object in the data whose members are multiplied, e.g. tenants. */
  readonly dataPath: InputPath;
}

export interface GrowthPoint {
  /** Members, entries or definitions. */
  readonly size: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** Latency against one size, or why it could not be measured. */
export interface Growth {
  readonly what: string;
  readonly points: readonly GrowthPoint[];
  readonly note?: string;
}

interface Variant {
  readonly size: number;
  readonly modules: Modules;
  readonly data: JsonObject;
  readonly inputs: readonly string[];
}

interface Dimension {
  readonly what: string;
  /** Why it can't grow. */
  readonly missing: string | undefined;
  readonly at: (factor: number) => Variant;
}

/** Measures an entrypoint at one, four and sixteen times its pools, tenants and rules, one after the other. */
export async function measureGrowth(side: Side, options: GrowthOptions): Promise<readonly Growth[]> {
  const result: Growth[] = [];
  for (const { what, missing, at } of growthDimensions(side, options))
    result.push(missing === undefined ? await measure(side, what, at, options) : { what, points: [], note: missing });
  return result;
}

/** What can grow, and the policy, data and inputs at each factor. */
export function growthDimensions(side: Side, options: GrowthOptions): readonly Dimension[] {
  const inputs = options.inputs.slice(0, MAX_INPUTS).map((text) => JSON.parse(text) as Json);
  const { modules, data } = side.source;
  const texts = inputs.map((input) => JSON.stringify(input));
  const members = inputs.map((input) => valueAt(input, options.inputPath)).find((value) => Array.isArray(value));
  const entries = valueAt(data, options.dataPath);
  const reached = side.definitions.filter((d) => side.graph.depth.has(d.rule));
  const copyable = reached.filter(canCopy);
  const ids = idsOf(inputs.flatMap((input) => (valueAt(input, options.inputPath) ?? []) as readonly Json[]));
  return [
    {
      what: `members of input.${pathText(options.inputPath)}`,
      missing: members === undefined || members.length === 0 ? 'no input has members there' : undefined,
      at: (factor) => {
        const scaled = inputs.map((input) => withMembers(input, options.inputPath, factor));
        return {
          size: (members?.length ?? 0) * factor,
          modules,
          data: withTwins(data, ids, factor),
          inputs: scaled.map((input) => JSON.stringify(input)),
        };
      },
    },
    {
      what: `entries of data.${pathText(options.dataPath)}`,
      missing: !isObject(entries) || Object.keys(entries).length === 0 ? 'the data has no entries there' : undefined,
      at: (factor) => {
        const more = isObject(entries) ? withTwins(entries, new Set(Object.keys(entries)), factor) : {};
        return {
          size: isObject(entries) ? Object.keys(entries).length * factor : 0,
          modules,
          data: withValue(data, options.dataPath, more) as JsonObject,
          inputs: texts,
        };
      },
    },
    {
      what: 'rules',
      missing: copyable.length === 0 ? 'no definition can be copied: all are links of else chains, defaults or facts' : undefined,
      at: (factor) => ({
        size: reached.length + copyable.length * (factor - 1),
        modules: withCopies(modules, copyable, factor - 1),
        data,
        inputs: texts,
      }),
    },
  ];
}

async function measure(side: Side, what: string, at: (factor: number) => Variant, options: GrowthOptions): Promise<Growth> {
  const points: GrowthPoint[] = [];
  try {
    for (const factor of GROWTH_FACTORS) {
      const { size, modules, data, inputs } = at(factor);
      if (
        Math.max(
          JSON.stringify(data).length,
          inputs.reduce((sum, input) => sum + input.length, 0),
        ) > MAX_SCALED
      )
        return { what, points, note: `${factor} times as much is more than ${MAX_SCALED / 2 ** 20} MiB of JSON` };
      const program = side.pool.add(await compileProgram(side.opa, modules, data, [options.entrypoint]));
      const { entrypoint, rounds } = options;
      points.push({ size, ...summarise(await side.pool.run({ kind: 'bench', program, entrypoint, inputs, rounds })) });
    }
  } catch (error) {
    // A copy that OPA refuses, or a size at which an evaluation meets its limits: what was measured until then stands.
    if (error instanceof OpaRefused) return { what, points, note: 'OPA refuses the scaled policy' };
    if (!(error instanceof PolicyLoadError) && !(error instanceof EvaluationLimit)) throw error;
    return { what, points, note: error.failure.message };
  }
  return { what, points };
}

/** Copies get ids of their own, so that a policy that looks a member up in its data finds another entry. */
function withMembers(input: Json, path: InputPath, factor: number): Json {
  const members = valueAt(input, path);
  if (!Array.isArray(members)) return input;
  const copies = Array.from({ length: factor }, (_, k) =>
    members.map((member: Json) =>
      k > 0 && isObject(member) && typeof member['id'] === 'string' ? { ...member, id: twin(member['id'], k) } : member,
    ),
  );
  return withValue(input, path, copies.flat());
}

function idsOf(members: readonly Json[]): ReadonlySet<string> {
  return new Set(members.flatMap((member) => (isObject(member) && typeof member['id'] === 'string' ? [member['id']] : [])));
}

const twin = (name: string, copy: number): string => `${name}~${copy}`;

/** Beside each entry of an object in the document whose key is one of the names, its copies. */
function withTwins(document: JsonObject, names: ReadonlySet<string>, factor: number): JsonObject {
  const result: Record<string, Json> = {};
  for (const [key, value] of Object.entries(document)) {
    const grown = isObject(value) ? withTwins(value, names, factor) : value;
    result[key] = grown;
    if (names.has(key)) for (let k = 1; k < factor; k += 1) result[twin(key, k)] = grown;
  }
  return result;
}

/** Text with a body of its own, not tied to other links: beside it another of the same name may stand. */
function canCopy({ ast, chain, fact, kind, body }: Definition): boolean {
  return ast.else === undefined && chain.length === 0 && !fact && kind !== 'default' && body !== '';
}

/** Each definition again with a last condition that no input meets: it costs what it costs, and never decides. */
function withCopies(modules: Modules, definitions: readonly Definition[], copies: number): Modules {
  const result = new Map(modules);
  for (const { file, ast, id } of definitions) {
    const { body } = splitBody(ast);
    const inner = body.startsWith('{') ? body.slice(1, -1).trim() : body;
    const text = Array.from(
      { length: copies },
      (_, k) => `\n${sourceText(ast.head.location) ?? ''} if {\n\t${inner}\n\tinput.mixgate_growth == "${id} ${k}"\n}\n`,
    );
    result.set(file, `${result.get(file)!}${text.join('')}`);
  }
  return result;
}

export interface Projection {
  /** Milliseconds more for each member, entry or definition: least squares of the p99 on the size. */
  readonly slope: number;
  /** Size at which the line meets the budget; undefined when it doesn't rise. */
  readonly budgetAt: number | undefined;
  /** The last step rose more than half more steeply than the first: the line promises too much. */
  readonly convex: boolean;
}

/** A line through the p99 at each size. Undefined with fewer than two sizes. */
export function project(points: readonly GrowthPoint[], budgetMs: number): Projection | undefined {
  const n = points.length;
  const meanX = points.reduce((sum, p) => sum + p.size, 0) / n;
  const meanY = points.reduce((sum, p) => sum + p.p99, 0) / n;
  const spread = points.reduce((sum, p) => sum + (p.size - meanX) ** 2, 0);
  if (n < 2 || spread === 0) return undefined;
  const slope = points.reduce((sum, p) => sum + (p.size - meanX) * (p.p99 - meanY), 0) / spread;
  const steps = points.slice(1).map((p, i) => (p.p99 - points[i]!.p99) / (p.size - points[i]!.size));
  const convex = steps.length > 1 && steps[0]! > 0 && steps.at(-1)! > 1.5 * steps[0]!;
  const over = points.find((p) => p.p99 > budgetMs)?.size;
  const budgetAt = slope > 0 ? Math.max(0, Math.round(meanX + (budgetMs - meanY) / slope)) : undefined;
  // What was measured outranks the line.
  return { slope, budgetAt: over === undefined ? budgetAt : Math.min(over, budgetAt ?? over), convex };
}

export interface GrowthReport {
  readonly tables: readonly Table[];
  readonly charts: readonly LineChart[];
  readonly measurements: readonly Measurement[];
}

/** Tables, charts and measurements of how latency grows; `budgetMs` is drawn as the limit. */
export function growthReport(entrypoint: string, growths: readonly Growth[], budgetMs: number): GrowthReport {
  const measured = growths.filter((g) => g.points.length > 0);
  return {
    tables: [
      {
        title: `Growth of ${entrypoint}`,
        volatile: true,
        columns: ['What grows', 'Sizes', 'p50', 'p99', 'Each one more', `Budget of ${budgetMs} ms`, 'Advice'],
        rows: growths.map((g) => growthRow(g, budgetMs)),
        note: 'At one, four and sixteen times the size. Each one more, and where the budget is reached: a line through the p99. Copies of rules have a last condition that never holds; copied members get entries of their own in the data.',
      },
    ],
    charts:
      measured.length === 0
        ? []
        : [
            {
              kind: 'line',
              title: `Growth of ${entrypoint}: p99`,
              xLabel: 'size',
              yLabel: 'ms',
              logX: true,
              series: measured.map((g) => ({ name: g.what, points: g.points.map((p) => [p.size, p.p99] as const) })),
              limits: [{ name: 'budget', value: budgetMs }],
            },
          ],
    measurements: measured.flatMap((g) => {
      const of = (name: string, value: number, unit: string, segment: string): Measurement => ({
        name: `policy.growth.${name}`,
        value,
        unit,
        segment: `${entrypoint} ${segment}`,
        volatile: true,
      });
      const line = project(g.points, budgetMs);
      return [
        ...g.points.flatMap((p) => [
          of('p50', p.p50, 'ms', `${p.size} ${g.what}`),
          of('p99', p.p99, 'ms', `${p.size} ${g.what}`),
        ]),
        ...(line === undefined ? [] : [of('slope', line.slope * 1000, 'us', g.what)]),
        ...(line?.budgetAt === undefined ? [] : [of('budget_at', line.budgetAt, '1', g.what)]),
      ];
    }),
  };
}

function growthRow({ what, points, note }: Growth, budgetMs: number): readonly string[] {
  const list = (values: readonly number[]): string => values.map((value) => value.toFixed(value < 1 ? 3 : 2)).join(' / ');
  const line = project(points, budgetMs);
  const reached =
    line === undefined
      ? ''
      : line.budgetAt === undefined
        ? 'not in sight: it does not grow'
        : `reached at about ${rounded(line.budgetAt)}${line.convex ? ', or before: it grows faster than a line' : ''}`;
  const largest = points.at(-1)?.size ?? 0;
  const near = line?.budgetAt !== undefined && line.budgetAt <= largest;
  return [
    what,
    points.map((p) => p.size).join(' / '),
    points.length === 0 ? '' : `${list(points.map((p) => p.p50))} ms`,
    points.length === 0 ? '' : `${list(points.map((p) => p.p99))} ms`,
    line === undefined ? '' : `${Math.max(0, line.slope * 1000).toFixed(2)} us`,
    [reached, ...(note === undefined ? [] : [`not measured${points.length === 0 ? '' : ' further'}: ${note}`])]
      .filter((text) => text !== '')
      .join('; '),
    near ? ADVICE[what.startsWith('members') ? 'input' : what.startsWith('entries') ? 'data' : 'rules'] : '',
  ];
}

const ADVICE = {
  input: 'Move topology from input to data, send only the members that may serve, and avoid loops over loops.',
  data: 'Look entries up by key instead of looping over them.',
  rules: 'Narrow the entrypoint to what the router reads, and turn rules that differ in values into data.',
} as const;

/** Two significant digits: a projection promises no more. */
function rounded(value: number): string {
  return Number(value.toPrecision(2)).toLocaleString('en-US', { maximumFractionDigits: 0 });
}
