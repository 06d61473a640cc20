import { type RuntimeProcess, startRuntimeProcess } from '../../scripts/lib/runtime-process.ts';

export interface TestRuntime extends AsyncDisposable {
  readonly url: string;
  /** Ends the whole process at once, as a crash would. */
  kill(): void;
}

/** A real reference runtime in development mode on a free loopback port, with one ggml thread. */
export async function startDevRuntime(...flags: string[]): Promise<TestRuntime> {
  const started: RuntimeProcess = await startRuntimeProcess(['--dev', '--threads', '1', ...flags], { detached: true });
  return {
    url: started.url,
    kill: () => started.signal('SIGKILL'),
    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
  };
}
