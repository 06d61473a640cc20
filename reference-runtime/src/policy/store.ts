// The policy in force, and how it came to be: sources in order, the last good bundle kept in memory and on disk.
import { messageOf } from '../../../src/core/errors.ts';
import { type Bundle, BundleError } from './bundle.ts';
import { SourceAway } from './bundle-error.ts';
import { keep, recall } from './last-good.ts';
import { type ActivePolicy, activate, type PolicyInput } from './policy.ts';
import type { PolicySource } from './source.ts';

export interface StoreOptions {
  entrypoint: string;
  /** Folder for the last good bundle; absent: it is kept in memory only. */
  cache?: string;
  /** What a bundle is tried on before it is activated. */
  probes?: readonly PolicyInput[];
  /** Told when the last good bundle could not be kept on disk, and why. */
  notKept?: (why: string) => void;
}

/** What asking the sources came to. `problems`: a line for each source that could not give a good bundle. */
export interface Reload {
  active: ActivePolicy;
  source: string;
  changed: boolean;
  problems: string[];
}

/** Keeps the last good policy: a bundle that cannot be activated never replaces one that can. */
export class PolicyStore {
  readonly #sources: readonly PolicySource[];
  readonly #options: StoreOptions;
  #active: ActivePolicy | undefined;
  /** Name of the source that gave the active bundle, and when a source last said that it is the current one. */
  #from = '';
  #confirmedAt: Date | undefined;
  #lastAttempt: { at: string; error?: string } = { at: '' };
  /** Why a bundle was not activated, or none could be had; a source that is away while another serves is no reason. */
  #fault: string | undefined;
  readonly #up = new Map<string, boolean>();
  #running: Promise<Reload> | undefined;

  constructor(sources: readonly PolicySource[], options: StoreOptions) {
    this.#sources = sources;
    this.#options = options;
  }

  /**
   * Asks the sources in order and takes the first good bundle. When none has one, the active policy stays; at start, the bundle kept on
   * disk is taken. @throws BundleError when no source has a good bundle; the active policy then stays
   */
  reload(now: Date): Promise<Reload> {
    // Two at once could let the older answer win.
    this.#running ??= this.#reload(now).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #reload(now: Date): Promise<Reload> {
    const problems: string[] = [];
    const faults: string[] = [];
    for (const source of this.#sources) {
      try {
        const changed = await this.#take(source, now);
        this.#up.set(source.name, true);
        this.#fault = faults[0];
        this.#lastAttempt =
          problems.length === 0 ? { at: now.toISOString() } : { at: now.toISOString(), error: problems.join('; ') };
        return { active: this.active, source: source.name, changed, problems };
      } catch (error) {
        this.#up.set(source.name, false);
        problems.push(`${source.name}: ${messageOf(error)}`);
        if (!(error instanceof SourceAway)) faults.push(problems.at(-1) as string);
      }
    }
    this.#lastAttempt = { at: now.toISOString(), error: problems.join('; ') };
    this.#fault = problems.join('; ');
    throw new BundleError(problems.join('; '));
  }

  /** True when another bundle is active than before. */
  async #take(source: PolicySource, now: Date): Promise<boolean> {
    const bundle = await source.fetch();
    const before = this.#active;
    let changed = false;
    if (bundle === undefined) {
      // What it gave last was refused and is what it still has: no reason to take it for in order.
      const refused = this.#refused.get(source.name);
      if (refused !== undefined) throw refused;
      // Unchanged since it was asked last. If another source's bundle is active now, this one's is what should be.
      if (before === undefined || this.#from !== source.name) {
        const own = this.#given.get(source.name);
        if (own === undefined) throw new BundleError('unchanged, but its bundle was never activated');
        changed = own.bundle.digest !== before?.bundle.digest;
        this.#active = changed ? own : before;
      }
    } else {
      changed = before === undefined || before.bundle.digest !== bundle.digest || before.bundle.revision !== bundle.revision;
      if (changed || before === undefined) this.#active = await this.#activate(source, bundle, now);
      this.#refused.delete(source.name);
      if (this.#active !== undefined) this.#given.set(source.name, this.#active);
    }
    this.#from = source.name;
    this.#confirmedAt = now;
    this.#keep(now);
    return changed;
  }

  /** On disk, where there is a folder for it. A disk that is full is no fault of the source, whose bundle is good and in force. */
  #keep(now: Date): void {
    const { cache, notKept } = this.#options;
    if (cache === undefined) return;
    const { bundle } = this.active;
    try {
      keep(cache, { bundle, confirmedAt: now }, this.#kept);
      this.#kept = bundle;
    } catch (error) {
      this.#kept = undefined;
      notKept?.(messageOf(error));
    }
  }

  async #activate(source: PolicySource, bundle: Bundle, now: Date): Promise<ActivePolicy> {
    try {
      return await activate(bundle, this.#options.entrypoint, now, this.#options.probes);
    } catch (error) {
      this.#refused.set(source.name, error);
      throw error;
    }
  }

  /** Why the bundle that a source gave last could not be activated. */
  readonly #refused = new Map<string, unknown>();

  /** The bundle that is on disk by this process's hand. */
  #kept: Bundle | undefined;

  /** The policy that each source gave last. */
  readonly #given = new Map<string, ActivePolicy>();

  /** At start with no source in reach: the bundle kept on disk. @throws BundleError when there is none that is good */
  async recall(now: Date): Promise<ActivePolicy> {
    const kept = this.#options.cache === undefined ? undefined : await recall(this.#options.cache);
    if (kept === undefined) throw new BundleError('no last good bundle is kept on disk');
    this.#active = await activate(kept.bundle, this.#options.entrypoint, now);
    this.#from = 'disk';
    this.#confirmedAt = kept.confirmedAt;
    return this.#active;
  }

  get active(): ActivePolicy {
    if (this.#active === undefined) throw new BundleError('no policy has been activated');
    return this.#active;
  }

  /** Seconds since a source last said that the active bundle is the current one. */
  ageSeconds(now: Date): number {
    return this.#confirmedAt === undefined ? 0 : Math.max(0, (now.getTime() - this.#confirmedAt.getTime()) / 1000);
  }

  /** Whether each source gave a good bundle when it was asked last; sources after the first good one are not asked. */
  get sources(): ReadonlyMap<string, boolean> {
    return this.#up;
  }

  /** What `/v1/policy` says. */
  describe(): object {
    const { bundle, activatedAt } = this.active;
    return {
      revision: bundle.revision,
      digest: `sha256:${bundle.digest}`,
      entrypoint: this.#options.entrypoint,
      source: bundle.source,
      source_name: this.#from,
      sources: this.#sources.map(({ name }) => ({ name, up: this.#up.get(name) ?? null })),
      activated_at: activatedAt,
      confirmed_at: this.#confirmedAt?.toISOString(),
      last_attempt: this.#lastAttempt,
    };
  }

  /** OPA's status document (OPA documentation, Status service API). */
  status(labels: Record<string, string>): object {
    const { bundle, activatedAt } = this.active;
    const confirmed = this.#confirmedAt?.toISOString() ?? activatedAt;
    return {
      labels,
      bundles: {
        routing: {
          name: 'routing',
          active_revision: bundle.revision,
          last_successful_activation: activatedAt,
          last_successful_download: confirmed,
          last_successful_request: confirmed,
          last_request: this.#lastAttempt.at,
          ...(this.#fault === undefined ? {} : { code: 'bundle_error', message: this.#fault }),
        },
      },
    };
  }
}
