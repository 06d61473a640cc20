import type { Location } from '../core/finding.ts';
import { type JsonObject, sha256 } from '../core/json.ts';
import type { Modules } from '../rego/source.ts';
import { type AstModule, locationOf, sourceText, walkTerms } from './ast.ts';
import type { Opa } from './opa.ts';
import { compileModule, PolicyInstance } from './wasm.ts';
import { HOST_BUILTINS, SDK_BUILTINS } from './wasm-eval.ts';
import { memoryMinimum } from './wasm-memory.ts';

/** A policy compiled for its entrypoints, with its data: what a worker needs to evaluate it. Structured-cloneable. */
export interface Program {
  readonly module: WebAssembly.Module;
  readonly pages: number;
  /** JSON text of the data document. */
  readonly data: string;
  readonly entrypoints: { readonly [name: string]: number };
  /** Builtins that the host must provide. */
  readonly builtins: readonly string[];
  readonly digest: string;
  /** Carries the hooks of instrument.ts. */
  readonly hooked: boolean;
}

/** Compiles modules with OPA. @throws OpaRefused, PolicyLoadError */
export async function compileProgram(
  opa: Opa,
  modules: Modules,
  data: JsonObject,
  entrypoints: readonly string[],
  hooked = false,
): Promise<Program> {
  const bytes = await opa.buildWasm(modules, entrypoints);
  const module = await compileModule(bytes);
  const pages = memoryMinimum(bytes);
  // Data is loaded by the workers; here only the module's own tables are read.
  const probe = new PolicyInstance(module, pages, { data: '{}' });
  return {
    module,
    pages,
    data: JSON.stringify(data),
    entrypoints: { ...probe.entrypoints },
    builtins: probe.builtins,
    digest: sha256(bytes),
    hooked,
  };
}

export function withData(program: Program, data: JsonObject): Program {
  return { ...program, data: JSON.stringify(data) };
}

/** Builtins of a program that no host function answers. */
export function missingBuiltins(program: Program): readonly string[] {
  return program.builtins.filter((name) => !SDK_BUILTINS.has(name) && !HOST_BUILTINS.has(name) && !name.startsWith('mixgate.'));
}

/** Where the modules call a builtin, in order. */
export function callsOf(asts: ReadonlyMap<string, AstModule>, builtin: string): readonly Location[] {
  const found = new Map<string, Location>();
  for (const [file, ast] of asts) {
    walkTerms(ast.rules, (term) => {
      if (term.type !== 'ref' || !Array.isArray(term.value)) return;
      const name = (term.value as { value: unknown }[]).map((part) => String(part.value)).join('.');
      if (name !== builtin || term.location === undefined || sourceText(term.location) === undefined) return;
      const location = locationOf(term.location, file);
      found.set(`${file}:${location.line}:${location.column}`, location);
    });
  }
  return [...found.values()].sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : (a.line ?? 0) - (b.line ?? 0)));
}
