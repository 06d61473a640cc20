import { type GateResult, gateResult } from '../../core/gate.ts';
import { readNamedFiles } from '../../slo/files.ts';
import { objectiveTable, soundText, subjectsOf } from '../../slo/gate.ts';
import { type LoadedSlos, loadSlos } from '../../slo/load.ts';
import type { CommandSpec } from '../framework.ts';
import { PRESET, presetOf } from './options.ts';
import { reportOf } from './report.ts';

export const checkCommand: CommandSpec = {
  name: 'check',
  summary: 'lint OpenSLO files: alerts that cannot fire, queries that count the wrong events',
  positionals: 'FILE...',
  minPositionals: 1,
  maxPositionals: 1000,
  options: { preset: PRESET },
  examples: [
    { command: 'mixgate slo check slo/*.yaml', does: 'every OpenSLO v1 document of the files; references may cross files' },
    { command: 'mixgate slo check slo', does: 'every YAML file below a folder' },
  ],
  async run(invocation) {
    const slos = loadSlos(await readNamedFiles(invocation.dir, invocation.positionals), presetOf(invocation));
    return { report: await reportOf(invocation, checkResult(slos)) };
  },
};

function checkResult(slos: LoadedSlos): GateResult {
  return gateResult({
    id: 'slo',
    findings: slos.findings,
    measurements: [{ name: 'slo.objectives', value: slos.objectives.length, unit: '{objective}' }],
    tables: [objectiveTable(slos)],
    subjects: subjectsOf(slos.files),
    passReason: soundText(slos),
  });
}
