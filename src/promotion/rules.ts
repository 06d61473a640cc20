import { findingsOf, type RuleInfo } from '../core/rules.ts';

/** Every rule that promote and rollback may report. */
export const RULES = [
  { id: 'promotion-denied', level: 'error', summary: 'The promotion policy does not allow the promotion.' },
  { id: 'promotion-evidence-missing', level: 'error', summary: 'A required gate has no evidence for the commit.' },
  { id: 'promotion-evidence-altered', level: 'error', summary: 'Evidence was changed after it was written.' },
  {
    id: 'promotion-evidence-unsigned',
    level: 'error',
    summary: 'Evidence lacks a trusted signature that the environment asks for.',
  },
  { id: 'promotion-evidence-other-commit', level: 'note', summary: 'Evidence in the folder is about another commit.' },
  { id: 'promotion-remote-moved', level: 'error', summary: 'The environment changed on the remote meanwhile.' },
  { id: 'promotion-commit-not-on-remote', level: 'error', summary: 'The commit to promote is not on the remote.' },
  { id: 'promotion-quarantined', level: 'error', summary: 'The commit was rolled back before and is in quarantine.' },
  { id: 'promotion-nothing-to-do', level: 'note', summary: 'The environment already runs the commit.' },
  { id: 'promotion-no-last-good', level: 'error', summary: 'History has no earlier promotion whose evidence passed.' },
] as const satisfies readonly RuleInfo[];

/** A finding of this gate. */
export const promotionFinding = findingsOf(RULES);
