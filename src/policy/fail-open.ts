import type { Finding } from '../core/finding.ts';
import { isObject, type Json } from '../core/json.ts';
import { compareText } from '../core/text.ts';
import { type Attribution, attribute } from './attribution.ts';
import { allows, decisionOf } from './decision.ts';
import type { Definition } from './definitions.ts';
import { reaches } from './definitions.ts';
import { type Domain, type InputPath, inputOf, pathText, withValue } from './domain.ts';
import { policyFinding } from './rules.ts';
import { spreadPoints } from './sampling.ts';
import { entrypointLocation, type Side } from './side.ts';
import type { Outcome } from './wasm.ts';

/** Inputs from which fields are dropped one by one. */
const ABSENCE_POINTS = 128;

/** An input without one of its fields, and the input that it was made from. */
export interface Absence {
  readonly path: InputPath;
  readonly with: Json;
  readonly input: Json;
}

/** Inputs with one field left out, from points spread over the domain. */
export function absenceItems(domain: Domain): readonly Absence[] {
  const items: Absence[] = [];
  const points = [
    domain.base as Json,
    ...[...spreadPoints(domain, ABSENCE_POINTS)].map((digits) => inputOf(domain, digits) as Json),
  ];
  for (const point of points) {
    for (const path of objectPaths(point)) items.push({ path, with: point, input: withValue(point, path, undefined) });
  }
  return items;
}

/** Every member of every object, at any depth; array places stay, because lists of pools rightly get shorter. */
function objectPaths(value: Json): InputPath[] {
  const found: InputPath[] = [];
  const walk = (node: Json, path: InputPath): void => {
    if (found.length > 2000 || path.length > 16) return;
    if (Array.isArray(node)) for (const [index, item] of (node as readonly Json[]).entries()) walk(item, [...path, index]);
    else if (isObject(node)) {
      for (const [key, item] of Object.entries(node)) {
        found.push([...path, key]);
        walk(item, [...path, key]);
      }
    }
  };
  walk(value, []);
  return found;
}

/** Fields whose absence turns a refusal into an allow, on the line that then allows. */
export async function absenceFindings(
  side: Side,
  traced: number,
  entrypoint: string,
  items: readonly Absence[],
): Promise<Finding[]> {
  const withField = [...new Map(items.map((item) => [item.with, JSON.stringify(item.with)])).entries()];
  const outcomes = new Map<Json, Outcome>();
  for (const [index, outcome] of (
    await side.pool.outcomes(
      side.plain,
      entrypoint,
      withField.map(([, text]) => text),
    )
  ).entries())
    outcomes.set(withField[index]![0], outcome);
  const texts = items.map((item) => JSON.stringify(item.input));
  const without = await side.pool.outcomes(side.plain, entrypoint, texts);
  const opened = new Map<string, { item: Absence; text: string; before: Outcome; after: Outcome; count: number }>();
  for (const [index, item] of items.entries()) {
    const [before, after] = [outcomes.get(item.with)!, without[index]!];
    if (allows(decisionOf(after)) !== true || allows(decisionOf(before)) === true || 'failure' in before) continue;
    const key = pathText(item.path.map((step) => (typeof step === 'number' ? 0 : step))).replaceAll('[0]', '[]');
    const known = opened.get(key);
    if (known === undefined) opened.set(key, { item, text: texts[index]!, before, after, count: 1 });
    else {
      known.count += 1;
      if (texts[index]!.length < known.text.length) Object.assign(known, { item, text: texts[index]!, before, after });
    }
  }
  const findings: Finding[] = [];
  for (const [key, { item, text, before, after, count }] of [...opened].sort(([a], [b]) => compareText(a, b))) {
    const attribution = await attribute(side, traced, { entrypoint, input: text, holds: (o) => allows(decisionOf(o)) === true });
    const blamed = openDefault(side, attribution) ?? attribution.because[0] ?? attribution.decided;
    findings.push(
      policyFinding('policy-fail-open', {
        message: `Leaving out ${key} turns a refusal into an allow.`,
        location: blamed?.location ?? entrypointLocation(side, entrypoint),
        subject: key,
        evidence: {
          path: pathText(item.path),
          count,
          input: item.with,
          without: item.input,
          before: decisionOf(before) ?? null,
          after: decisionOf(after) ?? null,
        },
        fix: 'Refuse an input that lacks the field: require it in a rule that must hold, since `not f(input.x)` is undefined when input.x is absent.',
      }),
    );
  }
  return findings;
}

/**
 * The default that allows, where nothing that fired chose to: `default allow := true` below an entrypoint that only
 * passes it on. Defaults have no body to switch off, so attribution alone stops at the rule above.
 */
function openDefault(side: Side, { fired, because }: Attribution): Definition | undefined {
  if (because.some((d) => (side.graph.byRule.get(d.rule) ?? []).length > 1)) return undefined;
  const held = new Set(fired.map((d) => d.rule));
  return side.definitions.find(
    (d) =>
      d.kind === 'default' &&
      !held.has(d.rule) &&
      allows(d.literal) === true &&
      because.some((one) => one.refs.some((ref) => reaches(ref, d.rule))),
  );
}
