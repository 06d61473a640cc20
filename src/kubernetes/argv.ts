import { isObject, type Json, type JsonObject } from '../core/json.ts';
import { isList, textAt } from './path.ts';

/** Flags of a model server as a map, whatever way they were written. */
export interface Flags {
  readonly [flag: string]: string | true;
}

/** Short names and old spellings of vLLM and SGLang flags. */
const ALIASES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    tp: 'tensor-parallel-size',
    'tp-size': 'tensor-parallel-size',
    pp: 'pipeline-parallel-size',
    q: 'quantization',
    'model-path': 'model',
    'model-id': 'model',
    'context-length': 'max-model-len',
    'max-running-requests': 'max-num-seqs',
  }),
);

/** `--a b`, `--a=b`, `--a` and one shell string (`sh -c "vllm serve ... --a b"`), underscores as dashes. */
export function parseArgv(words: readonly string[]): Flags {
  const flags: Record<string, string | true> = {};
  const list = words.flatMap((word) => (/\s--?[A-Za-z]/.test(word) ? shellWords(word) : [word]));
  const serve = list.findIndex((word, index) => word === 'serve' && list[index - 1]?.split('/').at(-1) === 'vllm');
  const served = serve === -1 ? undefined : list[serve + 1];
  if (served !== undefined && !served.startsWith('-')) flags['model'] = served;
  for (const [index, word] of list.entries()) {
    const match = /^--?(?<name>[A-Za-z][\w.-]*)(?:=(?<value>[\s\S]*))?$/.exec(word);
    if (match === null) continue;
    const name = match.groups!['name']!.replaceAll('_', '-');
    const next = list[index + 1];
    const value = match.groups!['value'] ?? (next === undefined || /^--?[A-Za-z]/.test(next) ? true : next);
    const key = ALIASES.get(name) ?? name;
    const before = flags[key];
    flags[key] = key === 'lora-modules' && typeof before === 'string' && typeof value === 'string' ? `${before} ${value}` : value;
  }
  return flags;
}

/** Words of a shell line: quotes and backslashes, no expansion. */
function shellWords(line: string): string[] {
  const words = line.slice(0, 65_536).match(/(?:"(?:\\[\s\S]|[^"\\])*"|'[^']*'|\\[\s\S]|[^\s"'\\])+/g) ?? [];
  return words
    .filter((word) => !/^[;&|]+$/.test(word))
    .map((word) =>
      word.replaceAll(
        /"((?:\\[\s\S]|[^"\\])*)"|'([^']*)'|\\([\s\S])/g,
        (_, a?: string, b?: string, c?: string) => a ?? b ?? c ?? '',
      ),
    );
}

export type ModelServer = 'vllm' | 'sglang' | 'tgi';

/** Which model server a container runs, by its image and command; undefined for anything else. */
export function modelServer(container: JsonObject): ModelServer | undefined {
  const words = [textAt(container, ['image']) ?? '', ...commandLine(container)].join(' ').toLowerCase();
  if (/\bvllm\b/.test(words)) return 'vllm';
  if (/\bsglang\b/.test(words)) return 'sglang';
  if (/text-generation-(inference|launcher)/.test(words)) return 'tgi';
  return undefined;
}

/** command and args of a container. */
export function commandLine(container: JsonObject): readonly string[] {
  return ['command', 'args'].flatMap((key) => {
    const value: Json | undefined = container[key];
    return isList(value) ? value.filter((word): word is string => typeof word === 'string') : [];
  });
}

/** Containers of a workload's pod template. */
export function podContainers(workload: JsonObject): readonly JsonObject[] {
  const spec = workload['spec'];
  const template = isObject(spec) ? spec['template'] : undefined;
  const pod = isObject(template) ? template['spec'] : undefined;
  const containers = isObject(pod) ? pod['containers'] : undefined;
  return isList(containers) ? containers.filter(isObject) : [];
}
