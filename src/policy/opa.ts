import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExternalError } from '../core/errors.ts';
import type { Location } from '../core/finding.ts';
import type { Tool } from '../core/gate-context.ts';
import type { JsonObject } from '../core/json.ts';
import { compareText } from '../core/text.ts';
import type { Modules } from '../rego/source.ts';
import { type ExecResult, exec, OutputLimit } from '../tools/exec.ts';
import type { AstModule } from './ast.ts';
import { untarMember } from './bundle.ts';
import {
  limitProblem,
  type OpaProblem,
  OpaRefused,
  placeOf,
  problemsOf,
  type RawLocation,
  sorted,
  TIMEOUT_MS,
  tidyPath,
} from './opa-problems.ts';
import { stageFiles } from './opa-stage.ts';

export interface TestResult {
  readonly name: string;
  readonly package: string;
  readonly location: Location;
  readonly outcome: 'pass' | 'fail' | 'error' | 'skip';
  readonly message?: string;
  /** What the test, and the rules that it evaluated, printed. */
  readonly output?: string;
}

export interface Coverage {
  /** Percent of lines, test files left out. */
  readonly percent: number;
  readonly files: readonly {
    readonly file: string;
    readonly covered: number;
    readonly notCovered: number;
    readonly missing: readonly Location[];
  }[];
}

/** Builtins of a policy that may never run in a gate: they reach the network or read the machine. */
export const FORBIDDEN_BUILTINS: ReadonlySet<string> = new Set([
  'http.send',
  'net.lookup_ip_addr',
  'opa.runtime',
  'providers.aws.sign_req',
]);

/** Builtins that instrumented modules call; see instrument.ts. */
const HOOKS = [
  { name: 'mixgate.on', decl: { type: 'function', args: [{ type: 'string' }], result: { type: 'boolean' } } },
  { name: 'mixgate.fired', decl: { type: 'function', args: [{ type: 'string' }, { type: 'any' }], result: { type: 'boolean' } } },
];

const MAX_OUTPUT = 256 * 1024 * 1024;
/** A module of ten thousand rules has a tree of 40 MiB. */
const MAX_TREE = 128 * 1024 * 1024;

/**
 * The pinned `opa` program: the only parser, type checker and compiler here. Every run has a time limit, a soft memory
 * limit (GOMEMLIMIT) and capabilities without the network.
 */
export class Opa {
  readonly tool: Tool;
  readonly #signal: AbortSignal;
  #capabilities: Promise<string> | undefined;
  #dir: Promise<string> | undefined;
  #calls = 0;

  constructor(tool: Tool, signal: AbortSignal) {
    this.tool = tool;
    this.#signal = signal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#dir !== undefined) await rm(await this.#dir, { recursive: true, force: true });
  }

  /** `opa check` over modules and data together, strict unless told otherwise. Empty when all is well. */
  async check(
    modules: Modules,
    data: JsonObject,
    { strict = true, maxErrors = 50 }: { readonly strict?: boolean; readonly maxErrors?: number } = {},
  ): Promise<readonly OpaProblem[]> {
    await using stage = await stageFiles(modules, data);
    const result = await this.#run(
      [
        'check',
        ...(strict ? ['--strict'] : []),
        '--format',
        'json',
        '--max-errors',
        String(maxErrors),
        '--capabilities',
        await this.#caps(),
        '--bundle',
        '.',
      ],
      stage.dir,
    );
    if (result.timedOut) return [limitProblem('opa check')];
    return result.code === 0 ? [] : problemsOf(result);
  }

  /** `opa parse` of every module. @throws OpaRefused */
  async parse(modules: Modules): Promise<ReadonlyMap<string, AstModule>> {
    await using stage = await stageFiles(modules, {});
    const asts = new Map<string, AstModule>();
    const problems: OpaProblem[] = [];
    const paths = [...modules.keys()].sort();
    // Two at a time: each is one short process.
    const next = async (): Promise<void> => {
      for (let path = paths.shift(); path !== undefined; path = paths.shift()) {
        const result = await this.#parse(path, stage.dir);
        if (result === undefined)
          problems.push({
            message: `the syntax tree of the module is larger than ${MAX_TREE / 1024 / 1024} MiB (a chain of else grows with the square of its length)`,
            code: 'limit',
            location: { file: path, line: 1 },
          });
        else if (result.timedOut) problems.push(limitProblem('opa parse'));
        else if (result.code === 0) asts.set(path, JSON.parse(result.stdout) as AstModule);
        else problems.push(...problemsOf(result, path));
      }
    };
    await Promise.all([next(), next()]);
    if (problems.length > 0) throw new OpaRefused(sorted(problems));
    return new Map([...asts].sort(([a], [b]) => compareText(a, b)));
  }

  /** One module; undefined when its tree is too large to look at. */
  async #parse(path: string, cwd: string): Promise<ExecResult | undefined> {
    try {
      return await this.#run(['parse', '--format', 'json', '--json-include', 'locations', `./${path}`], cwd, MAX_TREE);
    } catch (error) {
      if (error instanceof OutputLimit) return undefined;
      throw error;
    }
  }

  /** Compiles to WASM. Only the named entrypoints are in the module. @throws OpaRefused */
  async buildWasm(modules: Modules, entrypoints: readonly string[]): Promise<Uint8Array<ArrayBuffer>> {
    await using stage = await stageFiles(modules, {});
    const out = join(await this.#folder(), `bundle-${Math.trunc(performance.now() * 1e6).toString(36)}.tar.gz`);
    const result = await this.#run(
      [
        'build',
        '--target',
        'wasm',
        '--prune-unused',
        '--capabilities',
        await this.#caps(),
        ...entrypoints.flatMap((e) => ['--entrypoint', e]),
        '--output',
        out,
        '--bundle',
        '.',
      ],
      stage.dir,
    );
    if (result.timedOut) throw new OpaRefused([limitProblem('opa build')]);
    if (result.code !== 0) throw new OpaRefused(problemsOf(result));
    const archive = await readFile(out);
    await rm(out, { force: true });
    return untarMember(archive, 'policy.wasm');
  }

  /** `opa test`: every test with its outcome. @throws OpaRefused when the tests don't compile */
  async test(modules: Modules, data: JsonObject, timeoutS = 5): Promise<readonly TestResult[]> {
    await using stage = await stageFiles(modules, data);
    const result = await this.#run(
      ['test', '--format', 'json', '--timeout', `${timeoutS}s`, '--capabilities', await this.#caps(), '--bundle', '.'],
      stage.dir,
    );
    if (result.timedOut) throw new OpaRefused([limitProblem('opa test')]);
    if (result.code === 1 || !result.stdout.trimStart().startsWith('[')) {
      if (result.code === 0) return [];
      throw new OpaRefused(problemsOf(result));
    }
    return (JSON.parse(result.stdout) as RawTest[])
      .map(
        (raw): TestResult => ({
          name: raw.name,
          package: raw.package,
          location: placeOf(raw.location) ?? { file: '.' },
          outcome: raw.error !== undefined ? 'error' : raw.fail === true ? 'fail' : raw.skip === true ? 'skip' : 'pass',
          ...(raw.error === undefined ? {} : { message: raw.error.message ?? 'error' }),
          ...(raw.output === undefined ? {} : { output: Buffer.from(raw.output, 'base64').toString('utf8') }),
        }),
      )
      .sort(
        (a, b) =>
          compareText(a.location.file, b.location.file) ||
          (a.location.line ?? 0) - (b.location.line ?? 0) ||
          compareText(a.name, b.name),
      );
  }

  /** `opa test --coverage`, test files left out of the count. */
  async coverage(modules: Modules, data: JsonObject, counted: ReadonlySet<string>): Promise<Coverage> {
    await using stage = await stageFiles(modules, data);
    const result = await this.#run(
      ['test', '--coverage', '--format', 'json', '--timeout', '5s', '--capabilities', await this.#caps(), '--bundle', '.'],
      stage.dir,
    );
    if (result.timedOut) throw new OpaRefused([limitProblem('opa test --coverage')]);
    if (!result.stdout.trimStart().startsWith('{')) throw new OpaRefused(problemsOf(result));
    const raw = JSON.parse(result.stdout) as { files?: Record<string, RawCoverage> };
    const files = [...counted].sort().map((file) => {
      const entry = Object.entries(raw.files ?? {}).find(([path]) => tidyPath(path) === file)?.[1];
      const missing = (entry?.not_covered ?? []).map((span): Location => ({ file, line: span.start.row, endLine: span.end.row }));
      return { file, covered: entry?.covered_lines ?? 0, notCovered: entry?.not_covered_lines ?? 0, missing };
    });
    const covered = files.reduce((sum, f) => sum + f.covered, 0);
    const all = files.reduce((sum, f) => sum + f.covered + f.notCovered, 0);
    return { percent: all === 0 ? 0 : (100 * covered) / all, files };
  }

  /** OPA's own evaluator on many inputs in one process: outcome JSON by index, undefined ones left out. */
  async evaluateAll(
    modules: Modules,
    data: JsonObject,
    entrypoint: string,
    inputs: readonly string[],
  ): Promise<ReadonlyMap<number, unknown>> {
    await using stage = await stageFiles(modules, data);
    // Calls may run at the same time.
    const file = join(await this.#folder(), `inputs-${this.#calls++}.json`);
    await writeFile(file, `[${inputs.join(',')}]`);
    const query = `{sprintf("%d", [i]): d | some i, one in input; d := data.${entrypoint.replaceAll('/', '.')} with input as one}`;
    const result = await this.#run(
      ['eval', '--format', 'json', '--capabilities', await this.#caps(), '--input', file, '--bundle', '.', query],
      stage.dir,
    );
    await rm(file, { force: true });
    if (result.timedOut || result.code !== 0)
      throw new OpaRefused(result.timedOut ? [limitProblem('opa eval')] : problemsOf(result));
    const raw = JSON.parse(result.stdout) as { result?: { expressions: { value: Record<string, unknown> }[] }[] };
    return new Map(Object.entries(raw.result?.[0]?.expressions[0]?.value ?? {}).map(([index, value]) => [Number(index), value]));
  }

  async #caps(): Promise<string> {
    this.#capabilities ??= (async () => {
      const dir = await this.#folder();
      const result = await this.#run(['capabilities', '--current'], dir);
      if (result.code !== 0)
        throw new ExternalError(`opa capabilities ended with ${result.code}: ${result.stderr.slice(0, 500)}`);
      const caps = JSON.parse(result.stdout) as { builtins: { name: string }[]; allow_net?: string[] };
      caps.builtins = [...caps.builtins.filter((b) => !FORBIDDEN_BUILTINS.has(b.name)), ...HOOKS];
      caps.allow_net = [];
      const file = join(dir, 'capabilities.json');
      await writeFile(file, JSON.stringify(caps));
      return file;
    })();
    return this.#capabilities;
  }

  #folder(): Promise<string> {
    this.#dir ??= mkdtemp(join(tmpdir(), 'mixgate-opa-'));
    return this.#dir;
  }

  #run(args: readonly string[], cwd: string, maxBytes = MAX_OUTPUT): Promise<ExecResult> {
    return exec(this.tool.path, args, {
      cwd,
      timeoutMs: TIMEOUT_MS,
      maxBytes,
      signal: this.#signal,
      env: {
        PATH: process.env['PATH'],
        HOME: process.env['HOME'],
        TMPDIR: process.env['TMPDIR'],
        GOMEMLIMIT: '1GiB',
        GOMAXPROCS: '2',
      },
    });
  }
}

interface RawTest {
  readonly location: RawLocation;
  readonly package: string;
  readonly name: string;
  readonly fail?: boolean;
  readonly skip?: boolean;
  /** Base64. */
  readonly output?: string;
  readonly error?: { readonly message?: string };
}
interface RawCoverage {
  readonly not_covered?: readonly { readonly start: { readonly row: number }; readonly end: { readonly row: number } }[];
  readonly covered_lines?: number;
  readonly not_covered_lines?: number;
}
