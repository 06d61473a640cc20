import { gateResult } from '../core/gate.ts';
import { openEnvironment } from '../promotion/environment.ts';
import { readHistory } from '../promotion/history.ts';
import { openGit } from '../workspace/git.ts';
import { environmentReport } from './environment-report.ts';
import type { CommandSpec } from './framework.ts';

export const command: CommandSpec = {
  name: 'history',
  summary: 'promotions and rollbacks of an environment, from commit trailers',
  options: {
    env: { type: 'string', value: 'ENV', required: true, description: 'environment of mixgate.yaml' },
    limit: { type: 'integer', value: 'N', description: 'newest N only (default 20)' },
  },
  examples: [{ command: 'mixgate history --env production', does: 'what ran when, on which evidence' }],
  async run(invocation) {
    const git = await openGit(invocation.dir);
    const environment = await openEnvironment(git, invocation.dir, invocation.config, invocation.options.string('env')!);
    const { target, pin, config } = environment;
    const limit = Math.max(1, invocation.options.number('limit') ?? 20);
    const all = await readHistory(git, target.tip, environment.pinPath, config.name);
    const barred = new Map((pin.quarantine ?? []).map(({ revision, reason }) => [revision, reason]));
    const rows = all
      .slice(0, limit)
      .map((entry, index) => [
        entry.date,
        entry.rollbackOf === undefined ? 'promote' : 'rollback',
        entry.promotedFrom.slice(0, 12),
        entry.verdict,
        entry.evidence.slice(0, 19),
        entry.commit.slice(0, 12),
        [
          ...(index === 0 && entry.promotedFrom === pin.revision ? ['runs now'] : []),
          ...(barred.has(entry.promotedFrom) ? [`quarantine: ${barred.get(entry.promotedFrom)}`] : []),
        ].join('; '),
      ]);
    const gate = gateResult({
      id: 'promotion',
      findings: [],
      measurements: [{ name: 'promotion.history', value: all.length, unit: '{commit}' }],
      tables: [
        {
          title: `History of ${config.name}`,
          columns: ['Date', 'Action', 'Revision', 'Verdict', 'Evidence', 'Commit', 'Note'],
          rows,
          ...(all.length > limit ? { note: `${all.length - limit} older ones are not shown.` } : {}),
        },
      ],
      facts: { environment: config.name, revision: pin.revision },
      passReason:
        pin.revision === null
          ? `${config.name} was never promoted`
          : `${config.name} runs ${pin.revision.slice(0, 12)} after ${all.length} ${all.length === 1 ? 'promotion or rollback' : 'promotions and rollbacks'}`,
    });
    return { report: environmentReport(invocation, environment, gate) };
  },
};
