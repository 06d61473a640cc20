import { listSome, nearest } from '../config/suggest.ts';
import { ConfigurationError } from '../core/errors.ts';
import { GATE_IDS, type GateId } from '../core/gate.ts';
import { runCheck } from './check-run.ts';
import type { CommandSpec } from './framework.ts';
import { PULL_REQUEST_GATES } from './gates.ts';

export const command: CommandSpec = {
  name: 'check',
  summary: 'run every pull-request gate on a change',
  details: `Compares base with head (default: your working tree, as it is) and judges the change: telemetry schemas, routing
policies, model catalogue, drift against the snapshots in the repository, SLO files. Configuration and policies of the
gate are read from base. Writes nothing but reports.`,
  options: {
    base: { type: 'string', value: 'REF', description: 'compare with this ref (its merge base with head)' },
    head: { type: 'string', value: 'REF', description: 'judge this commit (default: the working tree)' },
    only: {
      type: 'string',
      value: 'GATE,...',
      multiple: true,
      description: `only these gates: ${PULL_REQUEST_GATES.map((gate) => gate.id).join(', ')}`,
    },
  },
  examples: [
    { command: 'mixgate check --base origin/main', does: 'your branch with uncommitted edits, against main' },
    { command: 'mixgate check --base origin/main --head HEAD --only policy,telemetry', does: 'two gates on what is committed' },
    {
      command: 'mixgate check --report html=report.html --report sarif=mixgate.sarif',
      does: 'no base: judge the repository as it is, with files for people and for code scanning',
    },
  ],
  async run(invocation) {
    const { options } = invocation;
    const only = parseOnly(options.strings('only'));
    const report = await runCheck(
      {
        dir: invocation.dir,
        config: invocation.config,
        base: options.string('base'),
        head: options.string('head'),
        ...(only === undefined ? {} : { only }),
        seed: options.number('seed'),
        command: invocation.command,
      },
      invocation,
    );
    return { report };
  },
};

/** `--only policy,slo --only drift` → gate ids. */
export function parseOnly(values: readonly string[]): readonly GateId[] | undefined {
  const names = values
    .flatMap((value) => value.split(','))
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length === 0) return undefined;
  const known = PULL_REQUEST_GATES.map((gate) => gate.id as string);
  for (const name of names) {
    if (known.includes(name)) continue;
    const guess = nearest(name, known);
    const other = (GATE_IDS as readonly string[]).includes(name)
      ? `\`${name}\` is not a pull-request gate; it has its own command.`
      : `there is no gate \`${name}\`.`;
    throw new ConfigurationError({
      message: other,
      expected: `one of ${listSome(known)}`,
      ...(guess === undefined ? {} : { fix: `did you mean \`${guess}\`?` }),
    });
  }
  return names as GateId[];
}
