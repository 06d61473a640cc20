import { type LoadedConfig, loadConfig } from '../../config/load.ts';
import { ConfigurationError, ExternalError, isMixgateError } from '../../core/errors.ts';
import type { GateResult } from '../../core/gate.ts';
import { buildReport, type Report } from '../../core/report.ts';
import { applyWaivers } from '../../core/waiver.ts';
import { openGit } from '../../workspace/git.ts';
import { folderTree } from '../../workspace/tree.ts';
import type { Invocation } from '../framework.ts';
import { provenanceOf } from '../provenance.ts';

/** mixgate.yaml, where there is one; with `needed` it must be there and have an slo section. */
export async function configuration(invocation: Invocation, needed: boolean): Promise<LoadedConfig | undefined> {
  const tree = folderTree(invocation.dir);
  if (!needed && (await tree.read(invocation.config)) === undefined) return undefined;
  const loaded = await loadConfig(tree, invocation.config);
  if (needed && loaded.config.slo === undefined)
    throw new ConfigurationError({
      message: 'there is no `slo` section.',
      location: { file: invocation.config },
      fix: 'add `slo: {files: [slo/*.yaml]}`, or name OpenSLO files on the command line.',
    });
  return loaded;
}

/** With the waivers of mixgate.yaml where there is one. */
export async function reportOf(invocation: Invocation, result: GateResult): Promise<Report> {
  const waivers = (await configuration(invocation, false))?.waivers.filter((waiver) => waiver.rule.startsWith('slo-')) ?? [];
  const outcome = applyWaivers([result], waivers, invocation.now.slice(0, 10));
  const commit = await headCommit(invocation);
  return buildReport(
    outcome.gates,
    provenanceOf(invocation, commit === undefined ? {} : { head: { ref: 'HEAD', commit } }),
    outcome.findings.filter((f) => f.ruleId !== 'waiver-unused'),
  );
}

/** The commit the evidence is about; none outside a repository. */
async function headCommit(invocation: Invocation): Promise<string | undefined> {
  try {
    return await (await openGit(invocation.dir)).cleanHead();
  } catch (error) {
    if (isMixgateError(error) && !(error instanceof ExternalError)) return undefined;
    throw error;
  }
}
