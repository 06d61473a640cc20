import type { FileTree } from '../core/gate-context.ts';
import type { ChangeEvent } from '../workspace/event.ts';
import type { ActionInputs } from './inputs.ts';

/** What the Action is started with. */
export interface ActionRun {
  readonly env: NodeJS.ProcessEnv;
  /** ISO 8601 UTC. */
  readonly now: string;
  readonly signal: AbortSignal;
}

/** What the reporters need besides the report; filled as far as the run got. */
export interface Surroundings {
  readonly inputs?: ActionInputs;
  readonly change?: ChangeEvent;
  /** Folder of the GitOps repository inside the Git repository. */
  readonly pathPrefix?: string;
  /** Head, for the text of files that findings point into. */
  readonly tree?: FileTree;
  readonly changed?: ReadonlySet<string>;
}
