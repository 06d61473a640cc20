import type { Path, SourceDocument } from '../../config/document.ts';
import { decodeText, parseYamlStream } from '../../config/document.ts';
import { MixgateError } from '../../core/errors.ts';
import type { Finding, Location } from '../../core/finding.ts';
import type { FileTree } from '../../core/gate-context.ts';
import { isObject, type Json, type JsonObject } from '../../core/json.ts';
import { append } from '../../core/multimap.ts';
import { compareText } from '../../core/text.ts';
import type { UseOfTelemetry } from '../diff/change.ts';
import { telemetryFinding } from '../rules.ts';
import { parsePromql, type Selector } from './promql.ts';

/** One PromQL query and who runs it. */
export interface QueryConsumer {
  readonly kind: UseOfTelemetry['kind'];
  /** SLO, alert, recording rule or dashboard name. */
  readonly names: readonly string[];
  readonly location: Location;
  readonly selectors: readonly Selector[];
}

/** Keys under which SLO files, rule files and dashboards keep PromQL. */
const QUERY_KEYS = new Set([
  'query',
  'expr',
  'error_query',
  'total_query',
  'error_ratio_query',
  'errorQuery',
  'totalQuery',
  'errorRatioQuery',
]);
const MAX_QUERIES = 5000;

/** Every PromQL query in OpenSLO and Sloth files, Prometheus rule files and Grafana dashboards; problems become findings. */
export async function loadQueryConsumers(
  tree: FileTree,
  paths: readonly string[],
  findings: Finding[],
): Promise<QueryConsumer[]> {
  const documents: SourceDocument[] = [];
  const contents = await tree.readMany(paths);
  for (const path of [...paths].sort(compareText)) {
    const bytes = contents.get(path);
    if (bytes === undefined) continue;
    try {
      documents.push(...parseYamlStream(decodeText(bytes, path), path));
    } catch (error) {
      if (!(error instanceof MixgateError)) throw error;
      const problem = error.problems[0]!;
      findings.push(
        telemetryFinding('telemetry-consumer-unreadable', {
          message: `The file cannot be read, so what it uses is unknown: ${problem.message}`,
          location: problem.location ?? { file: path },
          subject: path,
          fix: 'Correct the file; until then a change may break it unseen.',
        }),
      );
    }
  }
  const slos = sloNamesByIndicator(documents);
  const consumers: QueryConsumer[] = [];
  for (const document of documents) {
    walk(document.value, [], [], (query, path, parents) => {
      if (consumers.length >= MAX_QUERIES) return;
      const consumer = describe(document, path, parents, slos);
      const parsed = parsePromql(query);
      const location = document.locate(path);
      if (parsed.errorAt !== undefined) {
        findings.push(
          telemetryFinding('telemetry-consumer-query-invalid', {
            message: `The query of ${consumer.kind} ${consumer.names.join(', ')} is not PromQL: error at character ${parsed.errorAt + 1}.`,
            location,
            subject: consumer.names[0],
            evidence: { query: query.slice(0, 500) },
            fix: 'Correct the query (`promtool check rules` or `promtool promql format` show the place).',
          }),
        );
      }
      consumers.push({ ...consumer, location, selectors: parsed.selectors });
    });
  }
  return consumers;
}

type Visit = (query: string, path: Path, parents: readonly Json[]) => void;

function walk(value: Json, path: Path, parents: readonly Json[], visit: Visit): void {
  if (Array.isArray(value)) {
    for (const [index, item] of (value as readonly Json[]).entries()) walk(item, [...path, index], [...parents, value], visit);
  } else if (isObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      if (typeof item === 'string' && QUERY_KEYS.has(key)) {
        if (item.trim() !== '') visit(item, [...path, key], [...parents, value]);
      } else {
        walk(item, [...path, key], [...parents, value], visit);
      }
    }
  }
}

/** OpenSLO: an SLO may name its SLI in another document (`indicatorRef`). */
function sloNamesByIndicator(documents: readonly SourceDocument[]): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const { value } of documents) {
    if (!isOpenSlo(value) || value['kind'] !== 'SLO') continue;
    const spec = isObject(value['spec']) ? value['spec'] : {};
    const refs = [
      spec['indicatorRef'],
      ...(Array.isArray(spec['objectives'])
        ? (spec['objectives'] as readonly Json[]).map((objective) =>
            isObject(objective) ? objective['indicatorRef'] : undefined,
          )
        : []),
    ];
    for (const ref of refs) {
      if (typeof ref === 'string') append(names, ref, metadataName(value) ?? ref);
    }
  }
  return names;
}

function isOpenSlo(value: Json | undefined): value is JsonObject {
  return isObject(value) && typeof value['apiVersion'] === 'string' && value['apiVersion'].startsWith('openslo');
}

function metadataName(value: JsonObject): string | undefined {
  const metadata = value['metadata'];
  const name = isObject(metadata) ? metadata['name'] : undefined;
  return typeof name === 'string' ? name : undefined;
}

function describe(
  document: SourceDocument,
  path: Path,
  parents: readonly Json[],
  slos: ReadonlyMap<string, readonly string[]>,
): { kind: UseOfTelemetry['kind']; names: readonly string[] } {
  const root = document.value;
  if (isOpenSlo(root)) {
    const name = metadataName(root) ?? document.file;
    return { kind: 'slo', names: root['kind'] === 'SLI' ? (slos.get(name) ?? [name]) : [name] };
  }
  for (const parent of [...parents].reverse()) {
    if (!isObject(parent)) continue;
    if (typeof parent['alert'] === 'string') return { kind: 'alert', names: [parent['alert']] };
    if (typeof parent['record'] === 'string') return { kind: 'recording', names: [parent['record']] };
    if (isObject(parent['sli']) && typeof parent['name'] === 'string') return { kind: 'slo', names: [parent['name']] };
  }
  if (isObject(root) && Array.isArray(root['panels'])) {
    const panel = [...parents]
      .reverse()
      .find((parent) => isObject(parent) && typeof parent['title'] === 'string' && parent !== root) as JsonObject | undefined;
    const title = typeof root['title'] === 'string' ? root['title'] : document.file;
    return { kind: 'dashboard', names: [panel === undefined ? title : `${title} / ${String(panel['title'])}`] };
  }
  return { kind: 'query', names: [`${document.file} ${path.join('.')}`] };
}
