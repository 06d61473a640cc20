import type { Modules } from '../../rego/source.ts';

/** Whether two sets of modules are not the same, by path and text. */
export function differ(a: Modules, b: Modules): boolean {
  return a.size !== b.size || [...a].some(([path, text]) => b.get(path) !== text);
}
