import { decodeText, parseYaml, type SourceDocument } from '../config/document.ts';
import { checked, problemsOf } from '../config/schema.ts';
import { ConfigurationError, isMixgateError, type Problem } from '../core/errors.ts';
import type { Finding, Location } from '../core/finding.ts';
import type { FileTree } from '../core/gate-context.ts';
import type { ModelDocument, PoolsDocument } from '../generated/schemas.ts';
import { glob, normalise } from '../workspace/tree.ts';
import { parseBytes } from './bytes.ts';
import { catalogFinding } from './rules.ts';

/** One version of one model, with the file that describes it. */
export interface CatalogModel {
  readonly file: string;
  readonly value: ModelDocument;
  readonly locate: SourceDocument['locate'];
}

export interface Catalog {
  readonly models: readonly CatalogModel[];
  /** Files that can't be used, as findings. */
  readonly findings: readonly Finding[];
}

const MAX_MODELS = 5000;

/** Reads model metadata; a bad file is a finding and the others are still judged. */
export async function readModels(tree: FileTree, patterns: readonly string[]): Promise<Catalog> {
  const files = await glob(tree, patterns);
  if (files.length > MAX_MODELS) throw new ConfigurationError({ message: `the catalogue has more than ${MAX_MODELS} files.` });
  const models: CatalogModel[] = [];
  const findings: Finding[] = [];
  const invalid = (file: string, problems: readonly Problem[]): void => {
    for (const problem of problems) {
      findings.push(
        catalogFinding('catalog-metadata-invalid', {
          message: `${file} describes no usable model: ${sentence(problem.message)}${problem.expected === undefined ? '' : ` Expected ${problem.expected}.`}`,
          location: problem.location ?? { file },
          subject: file,
          fix: problem.fix ?? 'Complete the metadata; schemas/model.schema.json says what each field is.',
        }),
      );
    }
  };
  for (const [file, bytes] of await tree.readMany(files)) {
    try {
      const source = parseYaml(decodeText(bytes, file, 1024 * 1024), file);
      const problems = problemsOf('model', source);
      if (problems.length > 0) invalid(file, problems);
      else models.push({ file, value: source.value as unknown as ModelDocument, locate: source.locate });
    } catch (error) {
      if (!isMixgateError(error)) throw error;
      invalid(file, error.problems);
    }
  }
  return { models, findings };
}

function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

export interface Pool {
  readonly id: string;
  readonly cluster: string;
  readonly accelerator: 'gpu' | 'cpu';
  readonly device: string | undefined;
  readonly memoryBytes: number;
  readonly count: number;
  readonly overheadBytes: number;
  readonly utilisation: number;
  readonly price: PoolPrice | undefined;
}

/** What a pool's tokens cost, and where that stands. */
export interface PoolPrice {
  /** ISO 4217. */
  readonly currency: string;
  readonly perMtokInput: number;
  readonly perMtokOutput: number;
  /** ISO date. */
  readonly asOf: string;
  readonly maxAgeDays: number;
  readonly location: Location;
}

/** As the prices of a canary profile. */
const PRICE_MAX_AGE_DAYS = 90;

const GIB = 2 ** 30;
const DEFAULT_OVERHEAD = { gpu: GIB, cpu: GIB / 4 } as const;

/** The pools of catalog/pools.yaml, by id. */
export async function readPools(tree: FileTree, file: string): Promise<ReadonlyMap<string, Pool>> {
  const bytes = await tree.read(file);
  if (bytes === undefined)
    throw new ConfigurationError({
      message: 'the file of pools does not exist (named by catalog.pools).',
      location: { file: normalise(file) },
      fix: 'correct the path, or add the file.',
    });
  const source = parseYaml(decodeText(bytes, file), file);
  const document: PoolsDocument = checked('pools', source);
  const pools = new Map<string, Pool>();
  const problems: Problem[] = [];
  for (const [index, pool] of document.pools.entries()) {
    const amount = (field: 'memory' | 'overhead'): number | undefined => {
      const text = pool[field];
      const parsed = text === undefined ? undefined : parseBytes(text);
      if (text !== undefined && parsed === undefined)
        problems.push({
          message: `pools[${index}].${field} is ${JSON.stringify(text)}.`,
          location: source.locate(['pools', index, field]),
          expected: 'an amount of memory like 80GiB',
        });
      return parsed;
    };
    if (pools.has(pool.id))
      problems.push({ message: `the pool ${pool.id} is listed twice.`, location: source.locate(['pools', index, 'id']) });
    pools.set(pool.id, {
      id: pool.id,
      cluster: pool.cluster,
      accelerator: pool.accelerator,
      device: pool.device,
      memoryBytes: amount('memory') ?? 0,
      count: pool.count ?? 1,
      overheadBytes: amount('overhead') ?? DEFAULT_OVERHEAD[pool.accelerator],
      utilisation: pool.utilisation ?? 1,
      price:
        pool.price === undefined
          ? undefined
          : {
              currency: pool.price.currency,
              perMtokInput: pool.price.perMtokInput,
              perMtokOutput: pool.price.perMtokOutput,
              asOf: pool.price.asOf,
              maxAgeDays: pool.price.maxAgeDays ?? PRICE_MAX_AGE_DAYS,
              location: source.locate(['pools', index, 'price', 'asOf']),
            },
    });
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  return pools;
}
