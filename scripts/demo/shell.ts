import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { type RuntimeProcess, startRuntimeProcess } from '../lib/runtime-process.ts';

export const ROOT = join(import.meta.dirname, '../..');

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Show stderr as it comes. */
  readonly talk?: boolean;
}

/** Runs a program to its end; a non-zero exit is a result. */
export function run(program: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', options.talk === true ? 'inherit' : 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}

/** Like `run`, and throws with what the program said when it doesn't end with one of the expected codes. */
export async function must(
  program: string,
  args: readonly string[],
  options: RunOptions & { readonly codes?: readonly number[] },
): Promise<Ran> {
  const ran = await run(program, args, options);
  if (!(options.codes ?? [0]).includes(ran.code))
    throw new Error(
      `${program} ${args.slice(0, 4).join(' ')} ended with ${ran.code}:\n${ran.stderr.slice(-2000)}${ran.stdout.slice(-2000)}`,
    );
  return ran;
}

/** The built CLI, as a user runs it. */
export function mixgate(args: readonly string[], options: RunOptions): Promise<Ran> {
  return run(process.execPath, [join(ROOT, 'dist/cli.js'), ...args], options);
}

/** Starts a runtime and waits for its address. Disposing sends SIGTERM and waits for the drain. */
export function startRuntime(config: string, options: RunOptions): Promise<RuntimeProcess> {
  return startRuntimeProcess(['--config', config], { cwd: options.cwd, env: { ...process.env, ...options.env } });
}
