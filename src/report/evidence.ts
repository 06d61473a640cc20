import { Document, isScalar, visit, type YAMLSeq } from 'yaml';
import type { Json, JsonObject } from '../core/json.ts';
import { clip, visible } from './escape.ts';

export interface EvidenceLimits {
  readonly lines: number;
  readonly columns: number;
}

const MAX_DEPTH = 8;
const MAX_ITEMS = 60;

/**
 * Evidence for people: YAML, bounded in depth, length and width whatever a gate or a pull request put into it.
 * Invisible characters are made visible.
 */
export function describeEvidence(evidence: Json, limits: EvidenceLimits = { lines: 40, columns: 400 }): readonly string[] {
  const bounded = bound(evidence, 0);
  const text = typeof bounded === 'string' ? bounded : toYaml(bounded);
  const lines = visible(text).trimEnd().split('\n');
  const shown = lines.slice(0, limits.lines).map((line) => clip(line.replaceAll('\t', '  '), limits.columns));
  if (lines.length > limits.lines) shown.push(`… ${lines.length - limits.lines} more lines in the JSON report`);
  return shown;
}

/** Short lists of plain values stay on their line: an interval reads as `[0.1, 0.2]`. */
function toYaml(value: Json): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, {
    Seq(_key, node: YAMLSeq) {
      const plain = node.items.every((item) => isScalar(item) && typeof item.value !== 'object');
      if (plain && node.items.length <= 8 && JSON.stringify(node).length <= 80) node.flow = true;
    },
  });
  return document.toString({ lineWidth: 0, indentSeq: false, flowCollectionPadding: false });
}

function bound(value: Json, depth: number): Json {
  if (typeof value === 'string') return clip(value, 4_000);
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '…';
  if (Array.isArray(value)) {
    const items = (value as readonly Json[]).slice(0, MAX_ITEMS).map((item) => bound(item, depth + 1));
    return value.length > MAX_ITEMS ? [...items, `… ${value.length - MAX_ITEMS} more`] : items;
  }
  const entries = Object.entries(value as JsonObject);
  const members = entries.slice(0, MAX_ITEMS).map(([key, member]) => [clip(key, 200), bound(member, depth + 1)] as const);
  if (entries.length > MAX_ITEMS) members.push(['…', `${entries.length - MAX_ITEMS} more`]);
  return Object.fromEntries(members);
}
