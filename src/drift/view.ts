import type { BarChart, Table } from '../core/gate.ts';
import { compareText } from '../core/text.ts';
import type { NormalisedObject } from '../kubernetes/normalise.ts';
import type { DriftState } from './cluster.ts';
import type { Contract } from './contract.ts';
import { percent, poolVersions, type RuleShare, ruleShares } from './traffic.ts';

/** One cluster as the tables show it. */
export interface ViewCluster {
  readonly name: string;
  readonly desired: readonly NormalisedObject[];
  readonly live: readonly NormalisedObject[] | undefined;
  readonly states: ReadonlyMap<string, DriftState> | undefined;
}

/** What a table says about a cluster whose snapshot can't be used. */
const UNKNOWN = 'unknown';

const placeholder = (text: string, cluster: string): string => text.replaceAll(cluster, '{cluster}');

export function stateTable(clusters: readonly ViewCluster[]): Table {
  const names = [
    ...new Set(
      clusters.flatMap((c) =>
        [...c.desired.map((object) => fullName(object)), ...(c.states?.keys() ?? [])].map((name) => placeholder(name, c.name)),
      ),
    ),
  ].sort();
  return {
    title: 'State of each object in each cluster',
    columns: ['object', ...clusters.map((c) => c.name)],
    rows: names.map((name) => [
      name,
      ...clusters.map((c) => {
        if (c.states === undefined) return UNKNOWN;
        const found = [...c.states].find(([own]) => placeholder(own, c.name) === name);
        return found?.[1] ?? '-';
      }),
    ]),
    note: '{cluster} stands for the name of the cluster; - : not declared there',
  };
}

function fullName(object: NormalisedObject): string {
  return [object.kind, object.namespace, object.name].filter((part) => part !== '').join('/');
}

interface ShareRow {
  readonly model: string;
  readonly backend: string;
  /** By cluster: declared and live share, 0..1. */
  readonly shares: Map<string, { declared: number | undefined; live: number | undefined }>;
}

function shareRows(clusters: readonly ViewCluster[]): readonly ShareRow[] {
  const rows = new Map<string, ShareRow>();
  const add = (cluster: string, side: 'declared' | 'live', rules: readonly RuleShare[]): void => {
    for (const rule of rules) {
      for (const backend of rule.backends) {
        const name = placeholder(backend.name, cluster);
        const key = `${rule.model}|${name}`;
        const row = rows.get(key) ?? { model: rule.model, backend: name, shares: new Map() };
        const cell = row.shares.get(cluster) ?? { declared: undefined, live: undefined };
        cell[side] = backend.share;
        row.shares.set(cluster, cell);
        rows.set(key, row);
      }
    }
  };
  for (const cluster of clusters) {
    for (const [side, objects] of [
      ['declared', cluster.desired],
      ['live', cluster.live],
    ] as const) {
      if (objects === undefined) continue;
      const versions = poolVersions(objects);
      for (const object of objects) add(cluster.name, side, ruleShares(object, versions));
    }
  }
  return [...rows].sort(([a], [b]) => compareText(a, b)).map(([, row]) => row);
}

/** Share of each model's traffic per backend: live, with Git's where that differs. */
export function trafficTable(clusters: readonly ViewCluster[], declaredBy = 'Git'): Table | undefined {
  const rows = shareRows(clusters);
  if (rows.length === 0) return undefined;
  return {
    title: 'Share of traffic per model and cluster',
    columns: ['model', 'backend', ...clusters.map((c) => c.name)],
    rows: rows.map((row) => [row.model, row.backend, ...clusters.map((c) => cellText(row.shares.get(c.name), c, declaredBy))]),
    note: `live share; ${declaredBy} in brackets where it says otherwise`,
  };
}

function cellText(
  cell: { declared: number | undefined; live: number | undefined } | undefined,
  cluster: ViewCluster,
  declaredBy: string,
): string {
  if (cell === undefined) return '-';
  if (cluster.live === undefined) return `${UNKNOWN} (${declaredBy} ${percent(cell.declared ?? 0)})`;
  const [live, declared] = [cell.live ?? 0, cell.declared ?? 0];
  return Math.abs(live - declared) < 1e-9 ? percent(live) : `${percent(live)} (${declaredBy} ${percent(declared)})`;
}

/** Bars of live and declared shares, one chart for each model whose traffic is split somewhere. */
export function trafficCharts(clusters: readonly ViewCluster[]): readonly BarChart[] {
  const rows = shareRows(clusters);
  const models = [...new Set(rows.map((row) => row.model))];
  return models.flatMap((model) => {
    const own = rows.filter((row) => row.model === model);
    if (own.length < 2) return [];
    return [
      {
        kind: 'bar' as const,
        title: `Traffic of ${model}`,
        yLabel: 'percent of requests',
        categories: clusters.flatMap((c) => (c.live === undefined ? [`${c.name} Git`] : [`${c.name} Git`, `${c.name} live`])),
        series: own.map((row) => ({
          name: row.backend,
          values: clusters.flatMap((c) => {
            const cell = row.shares.get(c.name);
            const values = [cell?.declared ?? 0, ...(c.live === undefined ? [] : [cell?.live ?? 0])];
            return values.map((value) => Number((value * 100).toFixed(4)));
          }),
        })),
      },
    ];
  });
}

export function allowanceTable(contract: Contract): Table | undefined {
  const entries = contract.entries();
  if (entries.length === 0) return undefined;
  return {
    title: 'Allowed differences',
    columns: ['cluster', 'object', 'path', 'owner', 'reason', 'expires', 'hid'],
    rows: entries.map((each) => [
      each.cluster ?? 'all',
      each.object ?? 'all',
      each.path,
      each.owner,
      each.reason,
      each.expires,
      String(contract.hidden(each)),
    ]),
  };
}
