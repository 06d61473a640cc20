import { ConfigurationError } from '../core/errors.ts';
import type { Waiver } from '../core/waiver.ts';
import type { MixgateDocument, WaiversDocument } from '../generated/schemas.ts';
import { normalise, type Tree } from '../workspace/tree.ts';
import type { SourceDocument } from './document.ts';
import { readYaml } from './read.ts';
import { checked } from './schema.ts';

export const CONFIG_FILE = 'mixgate.yaml';

export type Config = MixgateDocument;
/** A section that is present. */
export type Section<K extends keyof Config> = NonNullable<Config[K]>;

export interface LoadedConfig {
  readonly config: Config;
  readonly source: SourceDocument;
  readonly waivers: readonly Waiver[];
}

/** A repository of several fleets has its configurations in their folders. */
async function whereConfigIs(tree: Tree, file: string): Promise<string> {
  const elsewhere = (await tree.list()).filter((path) => path.endsWith(`/${normalise(file)}`)).slice(0, 5);
  if (elsewhere.length === 0)
    return 'run `mixgate init` to write one, or name it with --config FILE (in the Action: the input `config`).';
  const folders = elsewhere.map((path) => JSON.stringify(path.slice(0, -normalise(file).length - 1)));
  return `run in the folder that has one, with -C DIR (in the Action: the input \`working-directory\`): ${folders.join(', ')}.`;
}

/** Reads and checks mixgate.yaml and the waivers it names. `tree` decides from which ref: in a pull request the base. */
export async function loadConfig(tree: Tree, file: string = CONFIG_FILE): Promise<LoadedConfig> {
  if ((await tree.read(file)) === undefined) {
    throw new ConfigurationError({
      message: `there is no configuration in ${tree.name === '.' ? 'this folder' : tree.name}.`,
      location: { file: normalise(file) },
      fix: await whereConfigIs(tree, file),
    });
  }
  const source = await readYaml(tree, file);
  const config = checked('mixgate', source);
  return { config, source, waivers: await loadWaivers(tree, config) };
}

async function loadWaivers(tree: Tree, config: Config): Promise<readonly Waiver[]> {
  if (config.waivers === undefined) return [];
  const source = await readYaml(tree, config.waivers);
  const document: WaiversDocument = checked('waivers', source);
  return document.waivers.map((waiver, index) => ({ ...waiver, location: source.locate(['waivers', index]) }));
}
