// The command line: verbs and exit codes. 0 done, 2 usage or configuration error, 3 error; `health` has 1 for a runtime that does not serve.
import metadata from '../package.json' with { type: 'json' };
import { EVALUATE_HELP, evaluateCommand } from './commands/evaluate.ts';
import { HEALTH_HELP, healthCommand } from './commands/health.ts';
import { ListenError, SERVE_HELP, serveCommand } from './commands/serve.ts';
import { TRACE_HELP, traceCommand } from './commands/trace.ts';
import { UsageError } from './commands/usage.ts';
import { VARIANT_HELP, variantCommand } from './commands/variant.ts';
import { ConfigurationError } from './config/load.ts';
import { EngineError } from './engine/types.ts';
import { PreflightError } from './gguf/preflight.ts';
import { GgufError } from './gguf/types.ts';
import { VariantError } from './gguf/variants.ts';
import { BundleError } from './policy/bundle.ts';

const { version, dependencies } = metadata;

const HELP = `mixgate-runtime: a reference server for Mixtral-architecture models, governed by Rego, with router traces

Usage:
  mixgate-runtime serve --config FILE [--port N]          serve by a configuration
  mixgate-runtime serve --dev [--port N]                  serve the shipped model on loopback, without identity
  mixgate-runtime health --config FILE                    ask a runtime on this machine whether it serves
  mixgate-runtime evaluate --model FILE --corpus DIR      perplexity by segment and by expert
  mixgate-runtime trace --model FILE --prompt TEXT        which experts each token used
  mixgate-runtime variant --model IN --out OUT --kind K   a degraded or a harmless variant of a model

Every verb has --help with examples; --version says what this is. Exit codes: 0 done, 2 usage or configuration error, 3 error; health: 1 when it does not serve.
`;

interface Verb {
  help: string;
  run: (args: string[]) => Promise<void>;
}

const VERBS: Record<string, Verb> = {
  serve: { help: SERVE_HELP, run: serveCommand },
  health: { help: HEALTH_HELP, run: healthCommand },
  evaluate: { help: EVALUATE_HELP, run: evaluateCommand },
  trace: { help: TRACE_HELP, run: traceCommand },
  variant: { help: VARIANT_HELP, run: variantCommand },
};

const EXIT_USAGE = 2;
const EXIT_ERROR = 3;

/** What a user is told about an error, and the exit code. */
function report(error: unknown): { text: string; code: number } {
  if (error instanceof ConfigurationError || error instanceof UsageError || error instanceof VariantError)
    return { text: error.message, code: EXIT_USAGE };
  if (
    error instanceof GgufError ||
    error instanceof PreflightError ||
    error instanceof BundleError ||
    error instanceof EngineError ||
    error instanceof ListenError
  )
    return { text: error.message, code: EXIT_ERROR };
  if (error instanceof Error && 'code' in error && typeof error.code === 'string')
    return { text: error.message, code: EXIT_ERROR };
  return { text: `internal error, please report it: ${error instanceof Error ? error.stack : String(error)}`, code: EXIT_ERROR };
}

/** Runs a command line; sets the process's exit code. */
export async function main(argv: string[]): Promise<void> {
  const [name, ...args] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(HELP);
    process.exitCode = name === undefined ? EXIT_USAGE : 0;
    return;
  }
  if (name === '--version') {
    process.stdout.write(`mixgate-runtime ${version} (node-llama-cpp ${dependencies['node-llama-cpp']})\n`);
    return;
  }
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (verb === undefined) {
    process.stderr.write(`mixgate-runtime: unknown command ${name}; known: ${Object.keys(VERBS).join(', ')}\n`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(verb.help);
    return;
  }
  try {
    await verb.run(args);
  } catch (error) {
    const { text, code } = report(error);
    for (const line of text.split('\n')) process.stderr.write(`mixgate-runtime ${name}: ${line}\n`);
    process.exitCode = code;
  }
}

if (import.meta.main) await main(process.argv.slice(2));
