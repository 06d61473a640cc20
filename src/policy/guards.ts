import type { SourceDocument } from '../config/document.ts';
import { readYaml } from '../config/read.ts';
import type { Finding } from '../core/finding.ts';
import type { FileTree } from '../core/gate-context.ts';
import { compareText } from '../core/text.ts';
import { type Modules, testNames } from '../rego/source.ts';
import { normalise } from '../workspace/tree.ts';
import { policyFinding } from './rules.ts';

/** What judges the policy: kept from base, so that a change cannot weaken its own gate. */
export interface Guards {
  readonly from: string;
  readonly invariants: Modules;
  readonly domain: SourceDocument | undefined;
}

export async function readGuards(tree: FileTree, invariants: Modules, domain: string | undefined): Promise<Guards> {
  const present = domain !== undefined && (await tree.read(normalise(domain))) !== undefined;
  return { from: tree.name, invariants, domain: present ? await readYaml(tree, domain!) : undefined };
}

/** Notes on guards that the change edits. */
export function changedGuards(base: { readonly modules: Modules; readonly what: string }, head: Modules): readonly Finding[] {
  const findings: Finding[] = [];
  for (const [path, text] of [...base.modules].sort(([a], [b]) => compareText(a, b))) {
    const now = head.get(path);
    if (now === text) continue;
    findings.push(
      policyFinding('policy-gate-changed', {
        message: `The change ${now === undefined ? 'removes' : 'edits'} ${base.what} ${path}; base's version still judges it, and head's own version is checked as well.`,
        location: { file: path, line: 1 },
        subject: path,
      }),
    );
  }
  for (const path of [...head.keys()].sort()) {
    if (base.modules.has(path)) continue;
    findings.push(
      policyFinding('policy-gate-changed', {
        message: `The change adds ${base.what} ${path}.`,
        location: { file: path, line: 1 },
        subject: path,
      }),
    );
  }
  return findings;
}

interface TestSides {
  readonly base: Modules;
  readonly head: Modules;
  /** What the run of head's own tests reported. */
  readonly reported: readonly Finding[];
}

/**
 * Failures of base's tests on head's policy. A test that head removed blocks (the change would weaken its gate); one
 * that head edited warns, because a meant change of behaviour has to edit its test; one that head left alone fails
 * in head's own run already, unless another module of head has made it pass there: then it blocks.
 */
export function judgeBaseTests(failures: readonly Finding[], { base, head, reported }: TestSides): readonly Finding[] {
  return failures.flatMap((f) => {
    if (f.ruleId !== 'policy-test-failed') return [];
    const file = f.location?.file ?? '';
    const now = head.get(file);
    const untouched = now !== undefined && now === base.get(file);
    if (untouched && reported.some((own) => own.id === f.id)) return [];
    const kept = !untouched && now !== undefined && testNames(now).has(f.subject ?? '');
    return [
      policyFinding('policy-test-failed', {
        ...(kept ? { level: 'warning' as const, blocking: false } : {}),
        message: untouched
          ? `${f.message.replace(/\.$/, '')} without the tests and invariants that the change adds.`
          : `${f.message.replace(/\.$/, '')} on base's version of the test, which the change ${kept ? 'edits' : 'removes'}.`,
        location: f.location,
        subject: `${f.subject ?? ''} on base`,
        fix: kept ? 'If the new behaviour is meant, say so in the pull request.' : 'Keep the test, or waive it with a reason.',
      }),
    ];
  });
}
