import { decodeText, parseYamlStream } from '../config/document.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { FileTree } from '../core/gate-context.ts';
import { isObject } from '../core/json.ts';
import { glob } from '../workspace/tree.ts';
import { type DefaultsNode, type DefaultsRegistry, defaultsOfCrd } from './defaults.ts';
import { GATEWAY_DEFAULTS } from './gateway-defaults.ts';

/** The built-in defaults of Gateway API kinds, with those of the named CustomResourceDefinition files over them. */
export async function loadDefaults(tree: FileTree, patterns: readonly string[]): Promise<DefaultsRegistry> {
  if (patterns.length === 0) return GATEWAY_DEFAULTS;
  const files = await glob(tree, patterns);
  if (files.length === 0)
    throw new ConfigurationError({
      message: `drift.crds matches no file: ${patterns.join(', ')}.`,
      expected: 'CustomResourceDefinition files',
      fix: 'correct the pattern, or remove it.',
    });
  const registry = new Map<string, DefaultsNode>(GATEWAY_DEFAULTS);
  for (const [file, bytes] of await tree.readMany(files)) {
    let found = 0;
    for (const source of parseYamlStream(decodeText(bytes, file), file)) {
      if (!isObject(source.value) || source.value['kind'] !== 'CustomResourceDefinition') continue;
      found += 1;
      for (const [key, node] of defaultsOfCrd(source.value)) registry.set(key, node);
    }
    if (found === 0)
      throw new ConfigurationError({
        message: 'there is no CustomResourceDefinition in this file (named by drift.crds).',
        location: { file },
      });
  }
  return registry;
}
