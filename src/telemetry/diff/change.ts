import type { Level, Location } from '../../core/finding.ts';
import { compareText } from '../../core/text.ts';
import type { Metric, Signal } from '../model.ts';
import type { TelemetryRule } from '../rules.ts';

/** Who breaks: consumers read new telemetry with old queries (FORWARD), producers not yet upgraded fail the new schema (BACKWARD). */
export type Breaks = 'consumer' | 'producer' | 'both' | 'backend';

/** FULL guards both directions, FORWARD consumers, BACKWARD producers, NONE nothing. Named as in Confluent's schema registry. */
export const COMPATIBILITY_MODES = ['FULL', 'FORWARD', 'BACKWARD', 'NONE'] as const;
export type CompatibilityMode = (typeof COMPATIBILITY_MODES)[number];

/** What a change touches, so that its consumers can be found. */
export interface Touches {
  /** The metrics as they were in base. */
  readonly metrics: readonly Metric[];
  /** With this, only queries that use the attribute as a label count. */
  readonly attribute?: string;
  /** With this, only queries with one of these `le` thresholds count. */
  readonly bounds?: readonly number[];
  /** A dotted path in an event, for Rego inputs. */
  readonly eventPath?: string;
}

/** One difference between two registries or two event schemas. */
export interface Change {
  readonly rule: TelemetryRule;
  /** `metric gen_ai.server.request.duration` */
  readonly item: string;
  readonly subject: string;
  readonly field: string;
  readonly before: string;
  readonly after: string;
  readonly breaks: Breaks;
  /** `fail`: blocks where the mode guards the direction; `fail-if-used`: blocks when something here uses it; `warn`: never blocks. */
  readonly severity: 'fail' | 'fail-if-used' | 'warn';
  readonly message: string;
  readonly fix: string;
  readonly location: Location;
  /** True when `location` is a line of base, because head no longer has the field. */
  readonly inBase: boolean;
  readonly related?: readonly (Location & { readonly message?: string })[];
  readonly touches: Touches;
}

/** A place that uses telemetry names, as a change's message shows it. */
export interface UseOfTelemetry {
  readonly kind: 'slo' | 'alert' | 'recording' | 'dashboard' | 'policy' | 'query';
  readonly name: string;
  readonly location: Location;
  /** The name as it is written there. */
  readonly uses: string;
}

function isGuarded(breaks: Breaks, mode: CompatibilityMode): boolean {
  if (mode === 'NONE' || breaks === 'backend') return false;
  return mode === 'FULL' || breaks === 'both' || (mode === 'FORWARD' ? breaks === 'consumer' : breaks === 'producer');
}

/**
 * The level of a change: what breaks a consumer in this repository is an error in every mode but NONE; else the mode decides.
 */
export function levelOf(change: Change, mode: CompatibilityMode, uses: readonly UseOfTelemetry[]): Level {
  if (mode === 'NONE') return uses.length > 0 && change.severity !== 'warn' ? 'warning' : 'note';
  if (change.severity === 'warn') return 'warning';
  if (uses.length > 0 && change.breaks !== 'producer') return 'error';
  if (change.severity === 'fail-if-used') return 'warning';
  return isGuarded(change.breaks, mode) ? 'error' : 'warning';
}

/** One stable order: by item, field and rule. */
export function compareChanges(a: Change, b: Change): number {
  return (
    compareText(a.item, b.item) ||
    compareText(a.field, b.field) ||
    compareText(a.rule, b.rule) ||
    compareText(a.before, b.before) ||
    compareText(a.after, b.after)
  );
}

/** Base name → head name of attributes that were renamed; base names that are gone map to undefined. */
export type AttributeFate = ReadonlyMap<string, string | undefined>;

/** A change of the signal itself touches every query of the metric. */
export function touchesOf(signal: Signal): Change['touches'] {
  return { metrics: signal.kind === 'metric' ? [signal] : [] };
}
