import { resolve } from 'node:path';
import { ConfigurationError } from '../../core/errors.ts';
import type { Tree } from '../../workspace/tree.ts';
import type { CommandSpec, Invocation } from '../framework.ts';
import type { Workspace } from '../open-workspace.ts';
import { singleGateReport } from '../single-gate.ts';
import { PROFILE } from './options.ts';

export const runCommand: CommandSpec = {
  name: 'run',
  summary: 'drive baseline and candidate with k6, pair by pair, and judge what was measured',
  details: `Sends each prompt of the corpus to both endpoints in random order, one request at a time, after an A/A block of the
baseline with itself. Endpoints speak the OpenAI API; quality needs \`echo\` on /v1/completions (the reference runtime, vLLM).
A token in MIXGATE_CANARY_TOKEN is sent as bearer token and never reported.
A profile with \`judge\` sends prompts and answers to that address, with a key: in a pull request it must come from the base (--base).`,
  options: {
    baseline: { type: 'string', value: 'URL', description: 'what serves now (default canary.baseline of mixgate.yaml)' },
    candidate: { type: 'string', value: 'URL', description: 'what may serve next (default canary.candidate)' },
    profile: PROFILE,
    corpus: {
      type: 'string',
      value: 'GLOB',
      multiple: true,
      description: 'prompt files (NDJSON); default canary.corpus, else the shipped corpus',
    },
    samples: { type: 'string', value: 'FILE', description: "keep k6's samples in FILE" },
    base: { type: 'string', value: 'REF', description: 'read mixgate.yaml and the profile as the merge base with REF has them' },
  },
  examples: [
    {
      command: 'mixgate canary run --baseline http://127.0.0.1:8081 --candidate http://127.0.0.1:8082',
      does: 'with the profile named in mixgate.yaml',
    },
    {
      command:
        'mixgate canary run --baseline http://a:8081 --candidate http://b:8081 --evidence evidence/ --report html=canary.html',
      does: 'keep evidence for promotion, and a report with charts',
    },
  ],
  async run(invocation) {
    const { openWorkspace } = await import('../open-workspace.ts');
    const { runCanaryGate } = await import('../../canary/gate.ts');
    const { options } = invocation;
    const workspace = await openWorkspace(invocation, { configRequired: options.string('profile') === undefined });
    const base = options.string('base');
    const trusted = base === undefined ? undefined : await trustedTree(invocation, workspace, base);
    const section = {
      ...(trusted === undefined ? workspace.config.canary : trusted.canary),
      ...(options.string('profile') === undefined ? {} : { profile: options.string('profile')! }),
      ...(options.strings('corpus').length === 0 ? {} : { corpus: [...options.strings('corpus')] as [string, ...string[]] }),
    };
    const { profile } = section;
    if (profile === undefined)
      throw new ConfigurationError({
        message: 'no canary profile is named.',
        fix: 'add `canary: {profile: ...}` to mixgate.yaml, or give --profile FILE.',
      });
    const [baseline, candidate] = [
      options.string('baseline') ?? section.baseline,
      options.string('candidate') ?? section.candidate,
    ];
    if (baseline === undefined || candidate === undefined) {
      throw new ConfigurationError({
        message: `no ${baseline === undefined ? 'baseline' : 'candidate'} endpoint is given.`,
        fix: 'give --baseline URL and --candidate URL, or set canary.baseline and canary.candidate in mixgate.yaml.',
      });
    }
    const samples = options.string('samples');
    const result = await runCanaryGate(
      workspace.context,
      { ...section, profile },
      {
        baseline,
        candidate,
        token: invocation.env['MIXGATE_CANARY_TOKEN'],
        profileFrom: options.string('profile') === undefined ? undefined : '--profile',
        env: invocation.env,
        profileTree: trusted?.tree,
        keepSamples: samples === undefined ? undefined : resolve(invocation.dir, samples),
      },
    );
    return { report: singleGateReport(invocation, workspace, result) };
  },
};

/** What the change cannot touch: the gate's configuration at the merge base. */
async function trustedTree(
  invocation: Invocation,
  workspace: Workspace,
  ref: string,
): Promise<{ readonly tree: Tree; readonly canary: Workspace['config']['canary'] }> {
  const { openSides } = await import('../check-run.ts');
  const { loadConfig } = await import('../../config/load.ts');
  if (workspace.git === undefined) throw new ConfigurationError({ message: '--base needs a Git repository.' });
  const { base } = await openSides(workspace.git, { dir: invocation.dir, base: ref });
  const hasConfig = (await base!.read(invocation.config)) !== undefined;
  return { tree: base!, canary: hasConfig ? (await loadConfig(base!, invocation.config)).config.canary : undefined };
}
