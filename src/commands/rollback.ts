import { ConfigurationError } from '../core/errors.ts';
import { openEnvironment } from '../promotion/environment.ts';
import { rollback } from '../promotion/rollback.ts';
import { openGit } from '../workspace/git.ts';
import { environmentReport } from './environment-report.ts';
import type { CommandSpec } from './framework.ts';

export const command: CommandSpec = {
  name: 'rollback',
  summary: 'take an environment back to the last commit whose evidence passed',
  details: `Finds the last good revision in the trailers of the environment's history, and pushes a new commit that restores it: a forward
commit with the trailer Rollback-Of, never a reset. The revision it leaves goes into quarantine, which promote respects.`,
  options: {
    env: { type: 'string', value: 'ENV', required: true, description: 'environment of mixgate.yaml' },
    reason: { type: 'string', value: 'TEXT', description: 'why; goes into the commit and the quarantine' },
    revision: {
      type: 'string',
      value: 'REF',
      description: 'go back to this revision instead of the last good one; it must have been promoted before',
    },
    'dry-run': { type: 'boolean', description: 'say what would happen, push nothing' },
  },
  examples: [
    { command: 'mixgate rollback --env production --reason "German answers degraded"', does: 'back to the last good revision' },
    { command: 'mixgate rollback --env production --dry-run', does: 'which revision that is' },
  ],
  async run(invocation) {
    const { options } = invocation;
    const git = await openGit(invocation.dir);
    const environment = await openEnvironment(git, invocation.dir, invocation.config, options.string('env')!);
    const revision = options.string('revision');
    const reason = options.string('reason') ?? 'rolled back by hand';
    if (reason.trim() === '')
      throw new ConfigurationError({ message: '--reason is blank.', expected: 'why the environment goes back' });
    const gate = await rollback({
      git,
      environment,
      reason,
      to: revision === undefined ? undefined : await git.resolve(revision),
      now: invocation.now,
      dryRun: options.boolean('dry-run'),
    });
    return { report: environmentReport(invocation, environment, gate) };
  },
};
