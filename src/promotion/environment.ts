import type { KeyObject } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { relative, sep } from 'node:path';
import { type Config, loadConfig } from '../config/load.ts';
import { readText } from '../config/read.ts';
import { listSome, nearest } from '../config/suggest.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { Git } from '../workspace/git.ts';
import { commitTree, folderTree, normalise, subtree, type Tree } from '../workspace/tree.ts';
import { readKey } from './dsse.ts';
import { newPin, type Pin, parsePin } from './pin.ts';
import { fetchBranch, type RemoteBranch } from './remote.ts';

type Promotion = NonNullable<Config['promotion']>;
export type EnvironmentConfig = Promotion['environments'][number];

/** An environment as its remote branch has it; configuration and policy come from there, not from the candidate. */
export interface Environment {
  readonly config: EnvironmentConfig;
  readonly promotion: Promotion;
  readonly target: RemoteBranch;
  /** The branch's tree below the folder that holds mixgate.yaml. */
  readonly tree: Tree;
  readonly pin: Pin;
  readonly pinText: string;
  /** From the root of the repository. */
  readonly pinPath: string;
  readonly keys: readonly KeyObject[];
}

/**
 * Finds the environment in the working copy's mixgate.yaml (which says remote and branch), fetches its branch, and reads
 * configuration, policy and pin from there: a change can't loosen the rules of its own promotion.
 */
export async function openEnvironment(git: Git, dir: string, configFile: string, name: string): Promise<Environment> {
  const local = environmentOf((await loadConfig(folderTree(dir), configFile)).config.promotion, name, configFile);
  const target = await fetchBranch(git, local.promotion.remote ?? 'origin', local.config.branch ?? 'main');
  const prefix = relative(await realpath(git.root), await realpath(dir))
    .split(sep)
    .join('/');
  const tree = subtree(await commitTree(git, target.tip, prefix), prefix);
  const { promotion, config } = environmentOf(
    (await loadConfig(tree, configFile)).config.promotion,
    name,
    `${configFile} on ${target.remote}/${target.branch}`,
  );
  const file = normalise(config.path ?? `promotion/environments/${name}.yaml`);
  const bytes = await tree.read(file);
  const pinText = bytes === undefined ? newPin(name) : await readText(tree, file);
  const keys: KeyObject[] = [];
  for (const path of promotion.publicKeys ?? []) keys.push(readKey(await readText(tree, path), 'public', path));
  return {
    config,
    promotion,
    target,
    tree,
    pin: parsePin(pinText, file, name),
    pinText,
    pinPath: prefix === '' ? file : `${prefix}/${file}`,
    keys,
  };
}

function environmentOf(
  promotion: Promotion | undefined,
  name: string,
  file: string,
): { promotion: Promotion; config: EnvironmentConfig } {
  if (promotion === undefined)
    throw new ConfigurationError({
      message: `${file} has no promotion section.`,
      fix: 'add `promotion:` with environments and policy.',
    });
  const names = promotion.environments.map((environment) => environment.name);
  const config = promotion.environments.find((environment) => environment.name === name);
  if (config !== undefined) return { promotion, config };
  const guess = nearest(name, names);
  throw new ConfigurationError({
    message: `${file} has no environment ${JSON.stringify(name)}.`,
    expected: `one of ${listSome(names)}`,
    ...(guess === undefined ? {} : { fix: `did you mean \`${guess}\`?` }),
  });
}
