import { resolve } from 'node:path';
import { openEnvironment } from '../promotion/environment.ts';
import { promote } from '../promotion/promote.ts';
import { openGit } from '../workspace/git.ts';
import { environmentReport } from './environment-report.ts';
import type { CommandSpec } from './framework.ts';
import { toolBox } from './provenance.ts';

export const command: CommandSpec = {
  name: 'promote',
  summary: 'move an environment to a commit whose evidence the promotion policy accepts',
  details: `Reads the evidence that the gates wrote for the commit, checks digests, signatures and the commit it is about, asks the
promotion policy (Rego), and pushes one commit to the environment's branch that sets \`revision\` in its pin file, with the
trailers Environment, Promoted-From, Gate-Verdict and Gate-Evidence. Configuration, policy and quarantine are read from the remote branch.
Nothing is ever forced: when the branch moved meanwhile the promotion is refused and nothing changes. Your files are not touched.`,
  options: {
    to: { type: 'string', value: 'ENV', required: true, description: 'environment of mixgate.yaml' },
    evidence: { type: 'string', value: 'DIR', required: true, description: 'folder of evidence statements that the gates wrote' },
    commit: { type: 'string', value: 'REF', description: 'commit to promote (default HEAD)' },
    'override-quarantine': {
      type: 'string',
      value: 'REASON',
      description: 'promote a commit that was rolled back before; the reason goes into the commit',
    },
    'dry-run': { type: 'boolean', description: 'judge everything, push nothing' },
  },
  examples: [
    { command: 'mixgate promote --to production --evidence evidence', does: 'HEAD, when every required gate passed on it' },
    { command: 'mixgate promote --to production --evidence evidence --commit v1.4.0 --dry-run', does: 'what would happen' },
  ],
  async run(invocation) {
    const { options } = invocation;
    const git = await openGit(invocation.dir);
    const ref = options.string('commit') ?? 'HEAD';
    const commit = await git.resolve(ref);
    const environment = await openEnvironment(git, invocation.dir, invocation.config, options.string('to')!);
    const tools = toolBox(invocation);
    const gate = await promote({
      git,
      environment,
      commit,
      evidenceDir: resolve(invocation.dir, options.string('evidence')!),
      now: invocation.now,
      overrideQuarantine: options.string('override-quarantine'),
      dryRun: options.boolean('dry-run'),
      opa: () => tools.tool('opa'),
    });
    return { report: environmentReport(invocation, environment, gate, { head: { ref, commit }, tools: tools.versions() }) };
  },
};
