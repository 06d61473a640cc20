import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type Progress, silentProgress } from '../core/context.ts';
import { ConfigurationError, ExternalError } from '../core/errors.ts';
import type { Tool } from '../core/gate-context.ts';
import { toolPath } from './cache.ts';
import { exec } from './exec.ts';
import { installTool } from './install.ts';
import { TEST_TOOL_PINS, TOOL_PINS, type ToolPin } from './pins.ts';

const PINS: { readonly [name: string]: ToolPin | undefined } = { ...TOOL_PINS, ...TEST_TOOL_PINS };

export interface ResolveOptions {
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
  readonly env?: NodeJS.ProcessEnv;
  /** false: stop after the cache. */
  readonly install?: boolean;
}

const resolved = new Map<string, Promise<Tool>>();

/**
 * Finds a pinned program: MIXGATE_<TOOL> → PATH, if it is exactly the pinned version → cache → install. The result is
 * kept for the life of the process.
 * @throws ExternalError naming the ways that failed
 */
export function resolveTool(name: string, options: ResolveOptions = {}): Promise<Tool> {
  const pin = Object.hasOwn(PINS, name) ? PINS[name] : undefined;
  if (pin === undefined) throw new ConfigurationError(`mixgate knows no tool named ${name}.`);
  const key = `${name}:${options.install ?? true}`;
  let tool = resolved.get(key);
  if (tool === undefined) {
    tool = find(pin, options);
    resolved.set(key, tool);
    tool.catch(() => resolved.delete(key));
  }
  return tool;
}

async function find(pin: ToolPin, options: ResolveOptions): Promise<Tool> {
  const env = options.env ?? process.env;
  const variable = `MIXGATE_${pin.name.toUpperCase()}`;
  const named = env[variable];
  if (named) {
    const version = await versionOf(pin, named);
    if (version === undefined)
      throw new ConfigurationError({
        message: `${variable}=${named} is not a working ${pin.name}.`,
        fix: `point it at ${pin.name} ${pin.version}, or unset it.`,
      });
    return { name: pin.name, path: named, version, source: 'flag' };
  }
  for (const dir of (env['PATH'] ?? '').split(delimiter)) {
    const path = join(dir, pin.name);
    // Another version on PATH is passed over: results must not depend on the machine.
    if (dir !== '' && (await executable(path)) && (await versionOf(pin, path)) === pin.version)
      return { name: pin.name, path, version: pin.version, source: 'path' };
  }
  const cached = toolPath(pin.name, pin.version, env);
  if ((await executable(cached)) && (await versionOf(pin, cached)) === pin.version)
    return { name: pin.name, path: cached, version: pin.version, source: 'cache' };
  if (options.install === false)
    throw new ExternalError({ message: `${pin.name} ${pin.version} is not installed.`, fix: 'run `mixgate doctor --install`.' });
  const source = await installTool(pin, {
    target: cached,
    platform: `${process.platform}-${process.arch}`,
    progress: options.progress ?? silentProgress,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const version = await versionOf(pin, cached);
  if (version !== pin.version)
    throw new ExternalError(`the installed ${pin.name} says it is version ${version ?? 'unknown'}, pinned is ${pin.version}.`);
  return { name: pin.name, path: cached, version, source };
}

async function executable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function versionOf(pin: ToolPin, path: string): Promise<string | undefined> {
  try {
    const { stdout } = await exec(path, pin.versionCommand, { timeoutMs: 20_000 });
    return pin.versionPattern.exec(stdout)?.groups?.['version'];
  } catch {
    return undefined;
  }
}
