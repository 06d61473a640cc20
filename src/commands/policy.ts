import { join } from 'node:path';
import { decodeText, parseYaml } from '../config/document.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { GateResult } from '../core/gate.ts';
import type { Json } from '../core/json.ts';
import { buildReport } from '../core/report.ts';
import { DEFAULT_ROUNDS } from '../policy/bench.ts';
import { readCorpus } from '../policy/corpus.ts';
import { DIFF_CLASSES } from '../policy/decision.ts';
import { type InputPath, parsePath } from '../policy/domain.ts';
import { explainText } from '../policy/explain-report.ts';
import { DEFAULT_BUDGET_MS } from '../policy/latency.ts';
import { DEFAULT_LINT_POINTS } from '../policy/lint.ts';
import { openDiffSide, openPolicy, readUserFile } from '../policy/locate.ts';
import { DEFAULT_MAX_MUTANTS, DEFAULT_MUTANT_POINTS, DEFAULT_MUTATION_SECONDS } from '../policy/mutation.ts';
import {
  benchPolicy,
  checkPolicy,
  type DomainDocument,
  diffPolicies,
  evaluatePolicy,
  lintPolicy,
  openWorkbench,
  provePolicy,
  testPolicy,
  type Workbench,
} from '../policy/operations.ts';
import { DEFAULT_MAX_POINTS } from '../policy/prove.ts';
import { DEFAULT_DIFF_POINTS } from '../policy/replay.ts';
import { STRENGTHS } from '../policy/sampling.ts';
import { packageVersion } from '../tools/package-root.ts';
import { resolveTool } from '../tools/resolve.ts';
import type { CommandOutcome, CommandSpec, Invocation, OptionSpec } from './framework.ts';

const ENTRYPOINT: OptionSpec = { type: 'string', value: 'PKG/RULE', description: 'the rule to evaluate, e.g. routing/decision' };
const DATA: OptionSpec = {
  type: 'string',
  value: 'FILE',
  description: 'data document (JSON or YAML) instead of the data files in the folder',
};
const DOMAIN: OptionSpec = { type: 'string', value: 'FILE', description: 'input domain: {base, vary, where?}' };
const INPUT: OptionSpec = {
  type: 'string',
  value: 'FILE|-',
  description: 'the input (JSON or YAML); - reads standard input',
  required: true,
};
const LIMIT: OptionSpec = { type: 'integer', value: 'MS', description: 'time limit of one evaluation (default 2000)' };
const MAX_POINTS: OptionSpec = {
  type: 'integer',
  value: 'N',
  description: `domain points up to which every one is looked at (default ${DEFAULT_MAX_POINTS})`,
};
const DEFAULT_GROWTH_INPUT = 'fleet.pools';
const DEFAULT_GROWTH_DATA = 'tenants';
const required = (spec: OptionSpec): OptionSpec => ({ ...spec, required: true });

export const command: CommandSpec = {
  name: 'policy',
  summary: 'check, test, prove and compare Rego policies',
  details:
    'Compiles with OPA, evaluates in WASM. A folder is read as `opa build --bundle` does: *.rego, and data only from data.json or data.yaml.',
  examples: [
    {
      command:
        'mixgate policy prove policies/routing --entrypoint routing/decision --domain policies/domain.yaml --invariants policies/invariants',
      does: 'invariants on the whole domain',
    },
    {
      command:
        'mixgate policy diff main:policies/routing policies/routing --entrypoint routing/decision --corpus policies/corpus.ndjson',
      does: 'what this change does to recorded traffic',
    },
  ],
  subcommands: [
    {
      name: 'check',
      summary: 'opa check --strict, compilation to WASM, and the builtins the WASM host has',
      positionals: 'DIR',
      minPositionals: 1,
      options: { entrypoint: { ...ENTRYPOINT, multiple: true }, data: DATA },
      examples: [{ command: 'mixgate policy check policies/routing', does: 'every rule counts as an entrypoint' }],
      run: (invocation) => onPolicy(invocation, async (bench, source) => checkPolicy(bench, source, entrypointsOf(invocation))),
    },
    {
      name: 'test',
      summary: 'run the unit tests and measure their coverage',
      positionals: 'DIR',
      minPositionals: 1,
      options: {
        threshold: { type: 'number', value: 'PERCENT', description: 'least line coverage' },
        'rule-threshold': {
          type: 'number',
          value: 'PERCENT',
          description: 'least share of rule definitions (bodies, links of else, defaults) that a test reaches',
        },
        'decision-threshold': {
          type: 'number',
          value: 'PERCENT',
          description: 'with --domain: least share of the values of the decision that a test sees',
        },
        mutation: { type: 'boolean', description: 'also change the policy in small ways, each of which some test should notice' },
        'mutation-threshold': { type: 'number', value: 'PERCENT', description: 'least share of mutants that a test must notice' },
        'max-mutants': { type: 'integer', value: 'N', description: `mutants to try (default ${DEFAULT_MAX_MUTANTS})` },
        'mutation-seconds': {
          type: 'integer',
          value: 'S',
          description: `no further mutant after this (default ${DEFAULT_MUTATION_SECONDS})`,
        },
        entrypoint: { ...ENTRYPOINT, description: 'with --domain: the rule whose decisions count' },
        domain: {
          ...DOMAIN,
          description:
            'with --entrypoint: decision values that no test sees are looked for on it, and mutants that decide the same on it are equivalent',
        },
        data: DATA,
      },
      examples: [
        { command: 'mixgate policy test policies/routing --rule-threshold 100', does: 'fail when a rule holds in no test' },
        {
          command:
            'mixgate policy test policies/routing --decision-threshold 90 --entrypoint routing/decision --domain policies/domain.yaml',
          does: 'and when the tests see less than 90 % of the reasons, pools ... that it can decide',
        },
        {
          command: 'mixgate policy test policies/routing --mutation --entrypoint routing/decision --domain policies/domain.yaml',
          does: 'surviving mutants, each with a test that kills it',
        },
      ],
      run: (invocation) =>
        onPolicy(invocation, async (bench, source) => {
          const mutation =
            invocation.options.boolean('mutation') || invocation.options.number('mutation-threshold') !== undefined;
          const entrypoint = entrypointsOf(invocation)[0];
          const document = await domainDocument(invocation);
          if ((entrypoint === undefined) !== (document === undefined))
            throw new ConfigurationError({
              message: `--${entrypoint === undefined ? 'domain' : 'entrypoint'} is given alone.`,
              expected: 'both --entrypoint and --domain, or neither',
            });
          const decisions = percentage(invocation, 'decision-threshold');
          if (decisions !== undefined && document === undefined)
            throw new ConfigurationError({
              message: '--decision-threshold is given without a domain.',
              expected: '--entrypoint PKG/RULE and --domain FILE: the values of the decision are looked for there',
            });
          return testPolicy(
            bench,
            source,
            percentage(invocation, 'threshold'),
            mutation
              ? {
                  threshold: percentage(invocation, 'mutation-threshold'),
                  maxMutants: positive(invocation, 'max-mutants') ?? DEFAULT_MAX_MUTANTS,
                  maxSeconds: positive(invocation, 'mutation-seconds') ?? DEFAULT_MUTATION_SECONDS,
                  maxPoints: DEFAULT_MUTANT_POINTS,
                  entrypoint,
                  document,
                }
              : undefined,
            { rules: percentage(invocation, 'rule-threshold'), decisions, entrypoint, document },
          );
        }),
    },
    {
      name: 'lint',
      summary: 'dead, shadowed, redundant, unused and conflicting rules, and fields that fail open',
      positionals: 'DIR',
      minPositionals: 1,
      options: {
        entrypoint: { ...ENTRYPOINT, multiple: true },
        domain: DOMAIN,
        data: DATA,
        'max-points': { ...MAX_POINTS, description: `points to trace (default ${DEFAULT_LINT_POINTS})` },
        limit: LIMIT,
      },
      details: 'Without --domain only what the source proves by itself is reported.',
      examples: [
        {
          command: 'mixgate policy lint policies/routing --entrypoint routing/decision --domain policies/domain.yaml',
          does: 'rule analysis on the domain',
        },
      ],
      run: (invocation) =>
        onPolicy(invocation, async (bench, source) =>
          lintPolicy(
            bench,
            source,
            entrypointsOf(invocation),
            await domainDocument(invocation),
            positive(invocation, 'max-points') ?? DEFAULT_LINT_POINTS,
          ),
        ),
    },
    {
      name: 'bench',
      summary: 'p50 and p99 evaluation latency against the budget',
      positionals: 'DIR',
      minPositionals: 1,
      options: {
        entrypoint: { ...required(ENTRYPOINT), multiple: true },
        corpus: { type: 'string', value: 'FILE', description: 'inputs to use (NDJSON)' },
        domain: DOMAIN,
        input: { type: 'string', value: 'FILE', description: 'one input to use (JSON)' },
        budget: { type: 'number', value: 'MS', description: `p99 budget (default ${DEFAULT_BUDGET_MS})` },
        rounds: { type: 'integer', value: 'N', description: `evaluations (default ${DEFAULT_ROUNDS})` },
        growth: { type: 'boolean', description: 'also measure at 1, 4 and 16 times the pools, tenants and rules' },
        'growth-input': {
          type: 'string',
          value: 'PATH',
          description: `array of the input that grows (default ${DEFAULT_GROWTH_INPUT})`,
        },
        'growth-data': {
          type: 'string',
          value: 'PATH',
          description: `object of the data that grows (default ${DEFAULT_GROWTH_DATA})`,
        },
        data: DATA,
      },
      examples: [
        {
          command: 'mixgate policy bench policies/routing --entrypoint routing/decision --corpus policies/corpus.ndjson',
          does: 'latency on recorded traffic',
        },
        {
          command:
            'mixgate policy bench policies/routing --entrypoint routing/decision --domain policies/domain.yaml --growth --report html=growth.html',
          does: 'how latency grows, and where it meets the budget',
        },
      ],
      run: (invocation) =>
        onPolicy(invocation, async (bench, source) => {
          const entrypoints = entrypointsOf(invocation);
          const corpus = await corpusOf(invocation, entrypoints[0]!);
          const input = invocation.options.string('input');
          const inputs = [
            ...(corpus?.inputs ?? []).slice(0, 5000).map((i) => i.input),
            ...(input === undefined ? [] : [JSON.stringify(await jsonFile(invocation, input))]),
          ];
          return benchPolicy(bench, source, {
            entrypoints,
            inputs,
            document: await domainDocument(invocation),
            budgetMs: positive(invocation, 'budget') ?? DEFAULT_BUDGET_MS,
            rounds: positive(invocation, 'rounds') ?? DEFAULT_ROUNDS,
            growth: growthOf(invocation),
          });
        }),
    },
    {
      name: 'diff',
      summary: 'what a change of policy or data does to decisions',
      positionals: 'BASE HEAD',
      minPositionals: 2,
      options: {
        entrypoint: required(ENTRYPOINT),
        corpus: {
          type: 'string',
          value: 'FILE',
          description:
            'replay corpus: NDJSON of {"input", "weight"?} or OPA decision-log events, one or a batch a line, may be gzipped',
        },
        domain: DOMAIN,
        'data-base': { ...DATA, description: 'data document of the base side' },
        'data-head': { ...DATA, description: 'data document of the head side' },
        'max-points': { ...MAX_POINTS, description: `domain points to compare (default ${DEFAULT_DIFF_POINTS})` },
        block: {
          type: 'string',
          value: 'CLASS',
          multiple: true,
          choices: DIFF_CLASSES.filter((name) => name !== 'error-fixed'),
          description: 'a class of change that fails; repeatable (default: became-undefined, error)',
        },
        limit: LIMIT,
      },
      details: 'BASE and HEAD are folders, REF:FOLDER, or Git refs whose mixgate.yaml names the policy roots.',
      examples: [
        {
          command:
            'mixgate policy diff main:policies/routing policies/routing --entrypoint routing/decision --corpus policies/corpus.ndjson',
          does: 'compare the working tree with main',
        },
      ],
      run: runDiff,
    },
    {
      name: 'prove',
      summary: 'invariants on every point of a declared input domain',
      positionals: 'DIR',
      minPositionals: 1,
      options: {
        entrypoint: required(ENTRYPOINT),
        domain: required(DOMAIN),
        invariants: { type: 'string', value: 'DIR', description: 'folder of Rego invariants', required: true },
        data: DATA,
        'max-points': MAX_POINTS,
        strength: {
          type: 'integer',
          value: 'N',
          description: `on a larger domain: try every combination of values of any N fields, ${STRENGTHS.least} to ${STRENGTHS.most} (default: the largest N that leaves half of the points to chance)`,
        },
        smt: {
          type: 'boolean',
          description: 'also for every input there is, with z3, where the policy is in the subset; needs the package z3-solver',
        },
        limit: LIMIT,
      },
      examples: [
        {
          command:
            'mixgate policy prove policies/routing --entrypoint routing/decision --domain policies/domain.yaml --invariants policies/invariants',
          does: 'prints "proved on N of N", or a counterexample',
        },
        {
          command:
            'mixgate policy prove policies/routing --entrypoint routing/decision --domain policies/domain.yaml --invariants policies/invariants --smt',
          does: 'and which invariants hold for every input',
        },
        {
          command:
            'mixgate policy prove policies/routing --entrypoint routing/decision --domain policies/domain.yaml --invariants policies/invariants --max-points 100000 --strength 3',
          does: 'search 100000 points, every combination of values of any 3 fields among them',
        },
      ],
      run: (invocation) =>
        onPolicy(invocation, async (bench, source) => {
          const folder = invocation.options.string('invariants')!;
          const { invariants: named, modules } = await openPolicy(invocation.dir, folder);
          // Folders outside of the working directory give bare file names: routing/tenancy.rego and invariants/tenancy.rego are two.
          const invariants = new Map(
            [...named].map(([file, text]) => [source.modules.has(file) ? join(folder, file) : file, text] as const),
          );
          if (invariants.size === 0)
            throw new ConfigurationError({
              message: 'no invariant is declared here.',
              location: { file: [...modules.keys()][0] ?? folder },
              expected: 'modules of the package `invariants` or one below it, with `violation contains msg if {...}`',
            });
          return provePolicy(bench, source, {
            entrypoint: entrypointsOf(invocation)[0]!,
            document: (await domainDocument(invocation))!,
            invariants,
            folder,
            maxPoints: positive(invocation, 'max-points') ?? DEFAULT_MAX_POINTS,
            strength: strengthOf(invocation),
            smt: invocation.options.boolean('smt'),
          });
        }),
    },
    {
      name: 'eval',
      summary: 'one decision and the rules that made it',
      positionals: 'DIR',
      minPositionals: 1,
      options: {
        entrypoint: required(ENTRYPOINT),
        input: INPUT,
        data: DATA,
        limit: LIMIT,
      },
      examples: [
        {
          command: 'mixgate policy eval policies/routing --entrypoint routing/decision --input request.json',
          does: 'decision, deciding rule and every rule that held',
        },
      ],
      run: runEval,
    },
    {
      name: 'explain',
      summary: 'why one decision is what it is, and what would change it',
      positionals: 'DIR',
      minPositionals: 1,
      options: {
        entrypoint: required(ENTRYPOINT),
        input: INPUT,
        domain: { ...DOMAIN, description: 'input domain in which the smallest change that flips the decision is searched' },
        data: DATA,
        limit: LIMIT,
      },
      details:
        'Shows the rules that held, the first expression that failed in each of the others with the values it read, and the input fields that are absent.',
      examples: [
        {
          command:
            'mixgate policy explain policies/routing --entrypoint routing/decision --input request.json --domain policies/domain.yaml',
          does: 'the decision, its reasons, and what would flip it',
        },
      ],
      run: runExplain,
    },
  ],
};

async function runDiff(invocation: Invocation): Promise<CommandOutcome> {
  const { dir, config, options, positionals } = invocation;
  const entrypoint = entrypointsOf(invocation)[0]!;
  if (options.string('corpus') === undefined && options.string('domain') === undefined) {
    throw new ConfigurationError({ message: 'there is nothing to compare on.', expected: '--corpus FILE or --domain FILE' });
  }
  const base = await openDiffSide(dir, positionals[0]!, config, options.string('data-base'));
  const head = await openDiffSide(dir, positionals[1]!, config, options.string('data-head'));
  const corpus = await corpusOf(invocation, entrypoint);
  const document = await domainDocument(invocation);
  const blocking = options.strings('block');
  return withBench(invocation, (bench) =>
    diffPolicies(bench, base, head, {
      entrypoint,
      corpus,
      document,
      maxPoints: positive(invocation, 'max-points') ?? DEFAULT_DIFF_POINTS,
      blocking: blocking.length > 0 ? blocking : undefined,
    }),
  );
}

async function runEval(invocation: Invocation): Promise<CommandOutcome> {
  const input = await jsonFile(invocation, invocation.options.string('input')!);
  return onPolicy(
    invocation,
    async (bench, source) => evaluatePolicy(bench, source, entrypointsOf(invocation)[0]!, input),
    (gate) => (gate.findings.length > 0 ? undefined : decisionText(gate)),
  );
}

async function runExplain(invocation: Invocation): Promise<CommandOutcome> {
  const input = await jsonFile(invocation, invocation.options.string('input')!);
  const document = await domainDocument(invocation);
  return onPolicy(
    invocation,
    async (bench, source) => evaluatePolicy(bench, source, entrypointsOf(invocation)[0]!, input, { document }),
    (gate) => (gate.findings.length > 0 ? undefined : `${decisionText(gate)}\n${explainText(gate)}`),
  );
}

function decisionText(gate: GateResult): string {
  const facts = gate.facts ?? {};
  const rules = (facts['rules'] ?? []) as readonly { rule: string; file: string; line: number; decisive: boolean }[];
  const by = facts['decidedBy'] as { rule: string; file: string; line: number } | undefined;
  const width = Math.max(0, ...rules.map((r) => r.rule.length));
  return [
    facts['defined'] === true ? JSON.stringify(facts['decision'], null, 2) : 'undefined',
    '',
    ...(by === undefined ? [] : [`decided by ${by.rule} (${by.file}:${by.line})`, '']),
    ...(rules.length === 0
      ? []
      : [
          'rules that held (* the decision would be another one without it):',
          ...rules.map((r) => `  ${r.decisive ? '*' : ' '} ${r.rule.padEnd(width)}  ${r.file}:${r.line}`),
        ]),
    '',
  ].join('\n');
}

type Work = (bench: Workbench, source: Awaited<ReturnType<typeof openPolicy>>) => Promise<GateResult>;

async function onPolicy(
  invocation: Invocation,
  work: Work,
  text?: (gate: GateResult) => string | undefined,
): Promise<CommandOutcome> {
  const source = await openPolicy(invocation.dir, invocation.positionals[0]!, invocation.options.string('data'));
  return withBench(invocation, (bench) => work(bench, source), text);
}

async function withBench(
  invocation: Invocation,
  work: (bench: Workbench) => Promise<GateResult>,
  text?: (gate: GateResult) => string | undefined,
): Promise<CommandOutcome> {
  const limit = positive(invocation, 'limit');
  const opa = await resolveTool('opa', { progress: invocation.progress, signal: invocation.signal, env: invocation.env });
  await using bench = openWorkbench(opa, invocation, limit);
  const gate = await work(bench);
  const report = buildReport([gate], {
    tool: { name: 'mixgate', version: packageVersion() },
    command: invocation.command,
    seed: invocation.seed,
    tools: { opa: opa.version },
  });
  const shown = text?.(gate);
  return shown === undefined ? { report } : { report, text: shown };
}

function entrypointsOf({ options }: Invocation): readonly string[] {
  const names = options.strings('entrypoint').map((name) =>
    name
      .replace(/^data[./]/, '')
      .replaceAll('.', '/')
      .replace(/^\/+/, ''),
  );
  for (const name of names) {
    if (!/^[A-Za-z_]\w*(?:\/[A-Za-z_]\w*)+$/.test(name))
      throw new ConfigurationError({
        message: `--entrypoint is ${JSON.stringify(name.slice(0, 100))}.`,
        expected: 'PACKAGE/RULE, e.g. routing/decision',
      });
  }
  return [...new Set(names)];
}

function percentage({ options }: Invocation, flag: string): number | undefined {
  const value = options.number(flag);
  if (value !== undefined && (value < 0 || value > 100))
    throw new ConfigurationError({ message: `--${flag} is ${value}.`, expected: 'a percentage from 0 to 100' });
  return value;
}

/** Numbers that must be above zero. */
function positive({ options }: Invocation, flag: string): number | undefined {
  const value = options.number(flag);
  if (value !== undefined && value <= 0)
    throw new ConfigurationError({ message: `--${flag} is ${value}.`, expected: 'a number above zero' });
  return value;
}

function strengthOf({ options }: Invocation): number | undefined {
  const value = options.number('strength');
  const { least, most } = STRENGTHS;
  if (value !== undefined && (value < least || value > most))
    throw new ConfigurationError({ message: `--strength is ${value}.`, expected: `a whole number from ${least} to ${most}` });
  return value;
}

async function domainDocument({ dir, options }: Invocation): Promise<DomainDocument | undefined> {
  const file = options.string('domain');
  return file === undefined ? undefined : parseYaml(decodeText(await readUserFile(dir, file), file), file);
}

function growthOf({ options }: Invocation): { readonly inputPath: InputPath; readonly dataPath: InputPath } | undefined {
  const path = (name: string, otherwise: string): InputPath => {
    const text = options.string(name) ?? otherwise;
    const parsed = parsePath(text);
    if (parsed !== undefined) return parsed;
    throw new ConfigurationError({
      message: `--${name} is ${JSON.stringify(text)}.`,
      expected: 'keys with dots between, array places as [n], e.g. fleet.pools',
    });
  };
  const paths = {
    inputPath: path('growth-input', DEFAULT_GROWTH_INPUT),
    dataPath: path('growth-data', DEFAULT_GROWTH_DATA),
  };
  return options.boolean('growth') ? paths : undefined;
}

async function corpusOf({ dir, options }: Invocation, entrypoint: string): Promise<ReturnType<typeof readCorpus> | undefined> {
  const file = options.string('corpus');
  return file === undefined ? undefined : readCorpus(await readUserFile(dir, file), file, entrypoint);
}

/** JSON or YAML; `-` is standard input. */
async function jsonFile({ dir, stdin }: Invocation, file: string): Promise<Json> {
  if (file !== '-') return jsonText(decodeText(await readUserFile(dir, file), file), file);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stdin) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Buffer);
    size += bytes.length;
    if (size > 8 * 1024 * 1024)
      throw new ConfigurationError({ message: 'the input on stdin is too large.', expected: 'at most 8 MiB' });
    chunks.push(bytes);
  }
  return jsonText(decodeText(Buffer.concat(chunks), 'stdin'), 'stdin');
}

/** An empty file is a mistake (a command that printed nothing), not the input `null`. */
function jsonText(text: string, file: string): Json {
  if (text.trim() === '')
    throw new ConfigurationError({
      message: 'the input is empty.',
      location: { file },
      expected: 'a JSON or YAML document, e.g. {"request": {...}}',
    });
  return parseYaml(text, file).value;
}
