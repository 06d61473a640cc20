import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Progress } from '../core/context.ts';
import { ConfigurationError, ExternalError, formatProblem, isMixgateError, messageOf } from '../core/errors.ts';
import { type Report, reportExitCode } from '../core/report.ts';
import { EXIT, type ExitPolicy, type OnUndecided } from '../core/verdict.ts';
import { FORMATS, type Format, type RenderOptions, render } from '../report/index.ts';
import { packageVersion } from '../tools/package-root.ts';
import type { Tree } from '../workspace/tree.ts';
import { writeWhole } from '../workspace/write-whole.ts';
import { type CommandOutcome, type Invocation, type OptionValues, type Parsed, parseCommandLine } from './framework.ts';
import { commandHelp, programHelp } from './help.ts';
import { loadCommands } from './index.ts';
import { stderrProgress } from './progress.ts';

export interface Streams {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

export interface MainOptions extends Streams {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Now, ISO 8601 UTC. MIXGATE_NOW in the environment overrides it, for reproducible reports. */
  readonly now: string;
  readonly signal: AbortSignal;
}

/** The whole program: argv in, exit code out. Every user error is one message on stderr without a stack trace. */
export async function main(io: MainOptions): Promise<number> {
  const progress = stderrProgress({ stream: io.stderr, quiet: io.argv.includes('--quiet') || io.argv.includes('-q') });
  try {
    return await dispatch(io, progress);
  } catch (error) {
    progress.done();
    if (!isMixgateError(error)) {
      const detail = messageOf(error);
      io.stderr.write(`mixgate: internal error: ${detail}\n`);
      io.stderr.write(
        io.env['MIXGATE_DEBUG']
          ? `${error instanceof Error ? error.stack : ''}\n`
          : 'This is a fault of mixgate: please report it (MIXGATE_DEBUG=1 shows the stack trace).\n',
      );
      return EXIT.error;
    }
    for (const problem of error.problems) io.stderr.write(`mixgate: ${formatProblem(problem)}\n`);
    if (io.env['MIXGATE_DEBUG']) io.stderr.write(`${error.stack}\n`);
    return error.exitCode;
  }
}

async function dispatch(io: MainOptions, progress: Progress & { done(): void }): Promise<number> {
  const commands = await loadCommands();
  if (io.argv.length === 1 && ['--version', '-V', 'version'].includes(io.argv[0]!)) {
    io.stdout.write(`${packageVersion()}\n`);
    return EXIT.ok;
  }
  const words = io.argv[0] === 'help' ? [...io.argv.slice(1), '--help'] : io.argv;
  const parsed = parseCommandLine(commands, words);
  const command = parsed.path.at(-1);
  if (command === undefined) {
    const target = parsed.help ? io.stdout : io.stderr;
    target.write(programHelp(commands, packageVersion()));
    return parsed.help ? EXIT.ok : EXIT.usage;
  }
  if (parsed.help || command.run === undefined) {
    (parsed.help ? io.stdout : io.stderr).write(commandHelp(parsed.path));
    return parsed.help ? EXIT.ok : EXIT.usage;
  }
  const run = invocation(io, parsed, progress);
  // A slip in --report shows now, not after minutes of work.
  const files = parsed.options.strings('report').map((value) => parseReportTarget(value, run.dir));
  const outcome = await command.run(run);
  progress.done();
  return finish(io, parsed.options, outcome, {
    progress,
    dir: run.dir,
    files,
    evidence: command.options?.['evidence'] === undefined,
  });
}

function invocation(io: MainOptions, parsed: Parsed, progress: Progress): Invocation {
  const seed = parsed.options.number('seed');
  if (seed !== undefined && (seed < 0 || seed > 0xffff_ffff))
    throw new ConfigurationError({ message: `--seed is ${seed}.`, expected: 'a whole number from 0 to 4294967295' });
  const dir = resolve(io.cwd, parsed.options.string('dir') ?? '.');
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new ConfigurationError({
      message: `-C is ${JSON.stringify(parsed.options.string('dir') ?? '.')}, which is no folder.`,
      expected: 'a folder that exists',
    });
  return {
    dir,
    config: parsed.options.string('config') ?? 'mixgate.yaml',
    positionals: parsed.positionals,
    options: parsed.options,
    command: ['mixgate', ...parsed.path.map((command) => command.name)].join(' '),
    seed: seed ?? 1,
    now: checkedNow(io.env['MIXGATE_NOW'] ?? io.now),
    progress,
    signal: io.signal,
    stdin: io.stdin,
    env: io.env,
  };
}

function checkedNow(text: string): string {
  const time = Date.parse(text);
  if (Number.isNaN(time))
    throw new ConfigurationError({
      message: `MIXGATE_NOW is ${JSON.stringify(text)}.`,
      expected: 'an ISO 8601 instant such as 2026-01-31T12:00:00Z',
    });
  return new Date(time).toISOString();
}

interface Finish {
  readonly progress: Progress;
  /** -C DIR means "as if started in DIR", for the files that are written too. */
  readonly dir: string;
  readonly files: readonly ReportTarget[];
  /** false: the command has an --evidence of its own, as `promote` has for the folder that it reads. */
  readonly evidence: boolean;
}

interface ReportTarget {
  readonly format: Format;
  /** Absolute. */
  readonly file: string;
}

async function finish(
  io: MainOptions,
  options: OptionValues,
  outcome: CommandOutcome,
  { progress, dir, files, evidence: writesEvidence }: Finish,
): Promise<number> {
  const format = (options.string('format') ?? 'text') as Format;
  if (!('report' in outcome)) {
    if (files.length > 0)
      throw new ConfigurationError({
        message: 'this command has no report to write.',
        fix: 'redirect its output instead of using --report.',
      });
    if ('stream' in outcome) return outcome.stream((text) => write(io.stdout, text));
    await write(io.stdout, outcome.text);
    return outcome.exitCode ?? EXIT.ok;
  }
  const { report } = outcome;
  // The verdict stands before anything is written; a report file that can't be written is a warning and never changes it.
  const code = reportExitCode(report, exitPolicy(options));
  const color =
    options.boolean('no-color') || io.env['NO_COLOR'] ? false : io.env['FORCE_COLOR'] ? true : io.stdout.isTTY === true;
  const text =
    format === 'text' && outcome.text !== undefined
      ? outcome.text
      : await render(format, report, { color, width: io.stdout.columns, ...(await sourcesFor(format, report, dir)) });
  await write(io.stdout, text.endsWith('\n') ? text : `${text}\n`);
  for (const target of files) {
    await tryTo(progress, `the ${target.format} report was not written to ${target.file}`, async () =>
      writeWhole(target.file, await render(target.format, report, await sourcesFor(target.format, report, dir))),
    );
  }
  const evidence = options.string('evidence');
  if (evidence !== undefined && writesEvidence) await writeEvidenceTo(resolve(dir, evidence), report, io);
  return code;
}

/** SARIF quotes the lines it points at and the pages of its rules; the other formats need neither. */
async function sourcesFor(format: Format, report: Report, dir: string): Promise<RenderOptions> {
  if (format !== 'sarif') return {};
  const [{ filesOfFindings, rulesOfFindings }, { folderTree }] = [
    await import('./report-sources.ts'),
    await import('../workspace/tree.ts'),
  ];
  const { head } = report.provenance;
  const tree = head === undefined ? folderTree(dir) : await headTree(dir, head.commit);
  return { files: await filesOfFindings(report, tree), rules: await rulesOfFindings(report) };
}

async function headTree(dir: string, commit: string): Promise<Tree> {
  const [{ openGit }, { openSides }] = [await import('../workspace/git.ts'), await import('./check-run.ts')];
  return (await openSides(await openGit(dir), { dir, head: commit })).head;
}

async function writeEvidenceTo(dir: string, report: Report, io: MainOptions): Promise<void> {
  const { signingKey, writeEvidence } = await import('../promotion/evidence.ts');
  const privateKey = await signingKey(io.env);
  const now = checkedNow(io.env['MIXGATE_NOW'] ?? io.now);
  await writeEvidence(report, { dir, now, ...(privateKey === undefined ? {} : { privateKey }) }).catch((cause: unknown) => {
    if (isMixgateError(cause)) throw cause;
    throw new ExternalError(
      {
        message: `the evidence could not be written to ${dir}: ${messageOf(cause)}.`,
        fix: 'name a folder that can be written.',
      },
      { cause },
    );
  });
}

function exitPolicy(options: OptionValues): ExitPolicy {
  const [mode, onError, onInconclusive] = [options.string('mode'), options.string('on-error'), options.string('on-inconclusive')];
  return {
    ...(mode === undefined ? {} : { mode: mode as 'enforce' | 'warn' }),
    ...(onError === undefined ? {} : { onError: onError as OnUndecided }),
    ...(onInconclusive === undefined ? {} : { onInconclusive: onInconclusive as OnUndecided }),
  };
}

function parseReportTarget(value: string, cwd: string): ReportTarget {
  const [format, ...rest] = value.split('=');
  const file = rest.join('=');
  if (file === '' || !(FORMATS as readonly string[]).includes(format!)) {
    throw new ConfigurationError({
      message: `--report is ${JSON.stringify(value)}.`,
      expected: `FORMAT=FILE with FORMAT one of ${FORMATS.join(', ')}`,
    });
  }
  return { format: format as Format, file: resolve(cwd, file) };
}

async function tryTo(progress: Progress, what: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    progress.warn(`${what}: ${messageOf(error)}`);
  }
}

function write(stream: NodeJS.WritableStream, text: string): Promise<void> {
  return new Promise((done, fail) => {
    stream.write(text, (error) => {
      // The reader went away (`| head`): what was asked for has been read.
      if (error && (error as NodeJS.ErrnoException).code !== 'EPIPE') fail(error);
      else done();
    });
  });
}
