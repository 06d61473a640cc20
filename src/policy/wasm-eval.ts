// Imports nothing: the runtime uses it too, and its images copy this file alone (docs/decisions/0012).

/** WebAssembly.Memory; TypeScript knows it with the DOM library only. */
export interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** What a module exports that we call (OPA documentation, "WebAssembly", ABI 1.2). */
export interface OpaExports {
  opa_eval(
    reserved: number,
    entrypoint: number,
    data: number,
    input: number,
    inputLength: number,
    heap: number,
    format: number,
  ): number;
  opa_json_dump(address: number): number;
  builtins(): number;
}

/** The fields of the SDK's LoadedPolicy that we use; `isLoadedPolicy` checks them. */
export interface LoadedPolicy {
  readonly mem: Memory;
  readonly wasmInstance: { readonly exports: OpaExports };
  readonly dataAddr: number;
  readonly dataHeapPtr: number;
  readonly entrypoints: { readonly [name: string]: number };
  setData(data: ArrayBuffer): void;
}

/** Host functions that the SDK brings (npm-opa-wasm 1.10.0, src/builtins); a test compares this list with the package. */
export const SDK_BUILTINS: ReadonlySet<string> = new Set([
  'json.is_valid',
  'regex.split',
  'sprintf',
  'yaml.is_valid',
  'yaml.marshal',
  'yaml.unmarshal',
]);

/** Host functions that gate and runtime add, both of them: what CI proves must be able to run. */
export const HOST_BUILTINS: ReadonlySet<string> = new Set(['time.now_ns']);

/** The most memory that a module gets, in pages of 64 KiB: 128 MiB. */
export const DEFAULT_MAX_PAGES = 2048;

const PAGE = 65_536;
const decoder = new TextDecoder();

/** Whether what the SDK made has the fields that are used here: they are not in its type declarations. */
export function isLoadedPolicy(policy: object): policy is LoadedPolicy {
  const { dataHeapPtr, wasmInstance } = policy as Partial<LoadedPolicy>;
  return typeof dataHeapPtr === 'number' && typeof wasmInstance?.exports?.opa_eval === 'function';
}

/**
 * Evaluates on a JSON text in UTF-8 and gives the result set as JSON text, `[]` or `[{"result":X}]`: the SDK's own `evaluate` copies the
 * input twice and looks for the end of the result byte by byte. Throws what the module or V8 throws.
 */
export function evaluateText(policy: LoadedPolicy, entrypoint: number, input: Uint8Array): string {
  const address = policy.dataHeapPtr;
  const end = address + input.byteLength;
  const missing = end - policy.mem.buffer.byteLength;
  if (missing > 0) policy.mem.grow(Math.ceil(missing / PAGE));
  new Uint8Array(policy.mem.buffer).set(input, address);
  const result = policy.wasmInstance.exports.opa_eval(0, entrypoint, policy.dataAddr, address, input.byteLength, end, 0);
  return readString(policy.mem, result);
}

/** The text at `address` up to its zero byte. */
function readString(memory: Memory, address: number): string {
  const bytes = new Uint8Array(memory.buffer);
  const end = bytes.indexOf(0, address);
  return decoder.decode(bytes.subarray(address, end < 0 ? bytes.length : end));
}

/** Names of the builtins that a module asks its host for. */
export function wantedBuiltins({ mem, wasmInstance: { exports } }: LoadedPolicy): readonly string[] {
  return Object.keys(JSON.parse(readString(mem, exports.opa_json_dump(exports.builtins()))) as object).sort();
}

/** What was thrown, as text: the SDK throws strings and plain objects beside errors. */
export function thrownText(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message);
  return String(error);
}
