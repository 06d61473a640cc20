import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GateId } from '../../src/core/gate.ts';
import { buildReport, type Report } from '../../src/core/report.ts';
import type { Verdict } from '../../src/core/verdict.ts';
import { ROOT } from '../support/cli.ts';
import { type TestRepo, testRepo } from '../support/repo.ts';

export const NOW = '2026-02-01T12:00:00.000Z';

/** A small policy: every required gate has a passing statement about the commit. */
const POLICY = `package promotion

import rego.v1

default decision := {"allow": false, "reasons": ["NO_RULE"]}

decision := {"allow": count(reasons) == 0, "reasons": sort(reasons)}

good contains gate.id if {
	some statement in input.evidence
	statement.predicate.commit == input.commit
	some gate in statement.predicate.gates
	gate.verdict in {"pass", "warn"}
}

reasons contains sprintf("GATE_NOT_PASSED %s", [id]) if {
	some id in input.environment.requires
	not id in good
}
`;

export function config(
  options: { requires?: readonly string[]; signed?: boolean; keys?: readonly string[]; extra?: string } = {},
): string {
  return `version: 1
slo:
  files: [slo/*.yaml]
promotion:
  environments:
    - name: production
      cluster: us-east
      path: environments/production.yaml
      requires: [${(options.requires ?? ['policy', 'slo']).join(', ')}]
${options.signed === true ? '      signed: true\n' : ''}  policy: policies/promotion
${options.keys === undefined ? '' : `  publicKeys: [${options.keys.join(', ')}]\n`}${options.extra ?? ''}`;
}

const PIN = `# Which commit production runs.
environment: production
revision: null # set by mixgate promote
# Ask the on-call before touching this by hand.
`;

export interface PromotionWorld extends Disposable {
  readonly remote: string;
  readonly repo: TestRepo;
  /** Evidence folder, outside the repository. */
  readonly evidence: string;
  clone(): string;
  remoteTip(branch?: string): string;
  show(path: string): string;
}

/** A bare remote, a clone with configuration, policy and pin on main, and an evidence folder. */
export function promotionWorld(files: { readonly [path: string]: string } = {}): PromotionWorld {
  const base = mkdtempSync(join(tmpdir(), 'mixgate-promotion-'));
  const remote = join(base, 'remote.git');
  execFileSync('git', ['init', '-q', '--bare', '-b', 'main', remote]);
  const repo = testRepo({
    'mixgate.yaml': config(),
    'policies/promotion/promotion.rego': POLICY,
    'environments/production.yaml': PIN,
    'apps/model.yaml': 'version: 1.0.0\n',
    ...files,
  });
  repo.git('remote', 'add', 'origin', remote);
  repo.git('push', '-q', '-u', 'origin', 'main');
  const bare = (...args: string[]): string => execFileSync('git', ['--git-dir', remote, ...args], { encoding: 'utf8' });
  let clones = 0;
  return {
    remote,
    repo,
    evidence: join(base, 'evidence'),
    clone() {
      clones += 1;
      const dir = join(base, `clone-${clones}`);
      execFileSync('git', ['clone', '-q', remote, dir]);
      return dir;
    },
    remoteTip: (branch = 'main') => bare('rev-parse', branch).trim(),
    show: (path) => bare('show', `main:${path}`),
    [Symbol.dispose]: () => {
      repo[Symbol.dispose]();
      rmSync(base, { recursive: true, force: true });
    },
  };
}

export function reportFor(
  commit: string | undefined,
  gates: { readonly [id in GateId]?: Verdict },
  command = 'mixgate slo gate',
): Report {
  return buildReport(
    Object.entries(gates).map(([id, verdict]) => ({
      id: id as GateId,
      verdict,
      reason: `${id} says ${verdict}`,
      findings: [],
      measurements: [{ name: 'slo.burn_rate', value: 0.5, unit: '1' }],
    })),
    {
      tool: { name: 'mixgate', version: '0.1.0' },
      command,
      ...(commit === undefined ? {} : { head: { ref: 'HEAD', commit } }),
      seed: 7,
      tools: { opa: '1.21.1' },
    },
  );
}

export { ROOT };
