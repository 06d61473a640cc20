import { ConfigurationError, messageOf } from '../../core/errors.ts';
import { exec } from '../../tools/exec.ts';
import { codeOf } from './answer-check.ts';

const CPU_SECONDS = 5;
const WALL_MS = 10_000;
const HEAP_MIB = 64;
const MAX_OUTPUT = 64 * 1024;

/** All memory that is written to: V8 bounds its heap alone, and buffers lie outside of it. Node takes some 600 MiB of it to start. */
const DATA_BYTES = 1024 * 1024 * 1024;

/**
 * The command a model's code runs under: own user, network and process namespaces (no network, no privileges, no signals to others), CPU
 * time and memory by rlimit, and Node's permission model (no files, no child processes, no workers, no addons). Code comes on standard
 * input; the environment is empty.
 */
function sandboxed(): readonly [string, ...string[]] {
  return [
    'unshare',
    '--user',
    '--map-root-user',
    '--net',
    '--pid',
    '--fork',
    '--kill-child',
    '--',
    'prlimit',
    `--cpu=${CPU_SECONDS}`,
    '--core=0',
    `--data=${DATA_BYTES}`,
    '--',
    process.execPath,
    '--permission',
    `--max-old-space-size=${HEAP_MIB}`,
    '--input-type=module',
    '-',
  ];
}

/** @throws ConfigurationError where this machine cannot isolate code: it is then never run */
export async function requireCodeSandbox(): Promise<void> {
  const problem = await exec(...call(), { input: 'console.log(1)', timeoutMs: WALL_MS, env: { PATH: process.env['PATH'] } }).then(
    (result) => (result.code === 0 && result.stdout.trim() === '1' ? undefined : result.stderr.trim().split('\n')[0]),
    messageOf,
  );
  if (problem !== undefined)
    throw new ConfigurationError({
      message: `code of answers cannot be run in isolation here: ${problem || 'the sandbox does not start'}.`,
      expected: 'Linux with unprivileged user namespaces, util-linux (unshare, prlimit) and Node 24 or newer',
      fix: 'run the canary on such a machine, or remove `codeRuns: true` from the profile (code checks are then left out).',
    });
}

/** Runs a model's JavaScript followed by its test. False: it throws, takes too long, or prints too much. */
export async function codePasses(answer: string, test: string, signal?: AbortSignal): Promise<boolean> {
  // Success is a word that the code cannot know, printed after the test: `process.exit(0)` in the answer proves nothing.
  const word = crypto.randomUUID();
  const input = `${codeOf(answer)}\n;${test}\n;console.log(${JSON.stringify(`\n${word}`)});`;
  try {
    const result = await exec(...call(), {
      input,
      timeoutMs: WALL_MS,
      maxBytes: MAX_OUTPUT,
      env: { PATH: process.env['PATH'] },
      ...(signal === undefined ? {} : { signal }),
    });
    return result.code === 0 && !result.timedOut && result.stdout.trimEnd().endsWith(word);
  } catch (cause) {
    if (signal?.aborted === true) throw cause;
    return false;
  }
}

function call(): [string, string[]] {
  const [program, ...args] = sandboxed();
  return [program, args];
}
