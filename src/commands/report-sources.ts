import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileTree } from '../core/gate-context.ts';
import type { Report } from '../core/report.ts';
import type { RuleHelp } from '../report/index.ts';
import { packageRoot } from '../tools/package-root.ts';

const MAX_FILE_BYTES = 1024 * 1024;

/** The files that findings point into, as text: for SARIF regions and fingerprints. */
export async function filesOfFindings(report: Report, tree: Pick<FileTree, 'readMany'>): Promise<ReadonlyMap<string, string>> {
  const paths = [
    ...new Set(report.findings.flatMap((finding) => (finding.location === undefined ? [] : [finding.location.file]))),
  ].filter((path) => !path.startsWith('/') && !path.split('/').includes('..'));
  const files = new Map<string, string>();
  for (const [path, bytes] of await tree.readMany(paths)) {
    if (bytes.length <= MAX_FILE_BYTES) files.set(path, bytes.toString('utf8'));
  }
  return files;
}

/** The pages of the rules that a report names, as shipped in docs/rules. A missing page is left out. */
export async function rulesOfFindings(report: Report): Promise<ReadonlyMap<string, RuleHelp>> {
  const rules = new Map<string, RuleHelp>();
  for (const id of new Set(report.findings.map((finding) => finding.ruleId))) {
    if (!/^[a-z0-9-]+$/.test(id)) continue;
    const page = await readFile(join(packageRoot(), 'docs/rules', `${id}.md`), 'utf8').catch(() => undefined);
    if (page !== undefined) rules.set(id, { summary: summaryOf(page), markdown: page });
  }
  return rules;
}

/** The first paragraph below `## Summary` of a rule page. */
export function summaryOf(page: string): string {
  const body = page.split(/^## Summary\s*$/m)[1] ?? '';
  return (body.trim().split(/\n\s*\n|^## /m)[0] ?? '').replaceAll('\n', ' ').trim();
}
