/**
 * The process that z3 runs in: argv[2] is the file of the installed z3-solver, argv[3] its memory limit in MiB. It prints a
 * line of JSON {version}, then reads questions, one a line as {text, rlimit, timeoutMs}, and prints a line {answer} for
 * each. Its parent stops it when an answer takes too long; z3's own timer only ends what an orphan would go on with.
 */
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

interface Low {
  /** The Emscripten module. */
  readonly em: {
    readonly HEAPU8: Uint8Array;
    _malloc(size: number): number;
    _free(pointer: number): void;
    _Z3_eval_smtlib2_string(context: unknown, text: number): number;
    UTF8ToString(pointer: number): string;
  };
  readonly Z3: {
    global_param_set(name: string, value: string): void;
    mk_config(): unknown;
    mk_context(config: unknown): unknown;
    del_context(context: unknown): void;
  };
}

const [, , file, memoryMb] = process.argv;
const loaded = (await import(pathToFileURL(file!).href)) as { default?: unknown; init?: unknown };
const { init } = (loaded.init === undefined ? loaded.default : loaded) as { init: () => Promise<Low> };
const { em, Z3 } = await init();
Z3.global_param_set('memory_max_size', memoryMb!);

/**
 * The package's own Z3.eval_smtlib2_string hands a string on the stack to another thread, which may read it after it is
 * gone (seen on queries of some ten kilobytes: parts of them were missing). This one owns its text, and blocks.
 */
function ask(text: string): string {
  const bytes = Buffer.from(`${text}\0`, 'utf8');
  const context = Z3.mk_context(Z3.mk_config());
  const pointer = em._malloc(bytes.length);
  try {
    em.HEAPU8.set(bytes, pointer);
    return em.UTF8ToString(em._Z3_eval_smtlib2_string(context, pointer));
  } finally {
    em._free(pointer);
    Z3.del_context(context);
  }
}

const print = (line: unknown): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
};
print({ version: /"([^"]+)"/.exec(ask('(get-info :version)'))?.[1] ?? 'unknown' });
for await (const line of createInterface({ input: process.stdin })) {
  const { text, rlimit, timeoutMs } = JSON.parse(line) as {
    readonly text: string;
    readonly rlimit: number;
    readonly timeoutMs: number;
  };
  print({ answer: ask(`(set-option :rlimit ${rlimit})\n(set-option :timeout ${timeoutMs})\n${text}`) });
}
// z3's threads would keep the process alive.
process.stdout.write('', () => process.exit(0));
