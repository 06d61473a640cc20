/**
 * Plays the main job on a fleet repository made from examples/fleet: a bad change is blocked, a good one is promoted with
 * its evidence, a degraded model is refused by the canary. Everything is real: Git, OPA, WASM, k6, the model.
 *   npm run demo                      into a temporary folder
 *   npm run demo -- --dir DIR --keep  somewhere else
 */
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { recordMetrics } from '../src/slo/record.ts';
import { type RunningPrometheus, startPrometheus } from '../test/support/prometheus.ts';
import { createFleet, type FleetRepo, nameVersion, reconcile, startBranch } from './demo/fleet.ts';
import { bold, dim, elapsedSeconds, line, scene, verdict } from './demo/print.ts';
import { checkPullRequest, type DemoReport } from './demo/pull-request.ts';
import { BASELINE_MODEL, buildBundle, modelVariant, newToken, serve } from './demo/serving.ts';
import { mixgate, type Ran } from './demo/shell.ts';
import type { RuntimeProcess } from './lib/runtime-process.ts';

const { values: flags } = parseArgs({ options: { dir: { type: 'string' } } });
const work = flags.dir === undefined ? await mkdtemp(join(tmpdir(), 'mixgate-demo-')) : resolve(flags.dir);
await mkdir(work, { recursive: true });
/** An expert of the last layer whose loss one segment feels and the average hardly does (see the model card). */
const DAMAGED_EXPERT = 1;
const summary: { readonly what: string; readonly expected: string; readonly got: string; readonly report: string }[] = [];

console.log(`${bold('mixgate demo')}: three changes to a fleet of three clusters. About 2 minutes; everything lands in ${work}.`);
const repo = await createFleet(work);
const firstPin = await pinnedRevision(repo);

await badChange(repo);
await goodChange(repo);
await degradedModel(repo);
await end(repo);

async function badChange(repo: FleetRepo): Promise<void> {
  scene(
    1,
    'A bad change',
    'Four edits that look harmless: an overflow rule in the policy, a tidier metric, a weight fixed by hand, a better model.',
  );
  await startBranch(repo, 'bad', 'bad');
  await repo.commit('Use idle pools abroad when ours are full; metric in ms; F16 weights');
  const checked = await checkPullRequest(repo, 1, work);
  printGates(checked.report);
  printBlocking(checked.report, 8);
  record('bad change, pull request', 'fail', checked.verdict, checked.html);
  await repo.git('checkout', '-q', 'main');
}

async function goodChange(repo: FleetRepo): Promise<void> {
  scene(2, 'A good change', 'mixtral-micro 1.1.0 gets 10 % of the traffic: checks, canary, error budget, promotion.');
  const candidate = join(work, 'mixtral-micro-1.1.0.gguf');
  await modelVariant(candidate, '--kind', 'rebuild');
  await startBranch(repo, 'good', 'good');
  await nameVersion(repo, '1.1.0', candidate);
  const commit = await repo.commit('mixtral-micro 1.1.0 to 10 % of the traffic');
  const evidence = join(work, 'evidence-good');
  const checked = await checkPullRequest(repo, 2, work);
  printGates(checked.report);
  record('good change, pull request', 'pass', checked.verdict, checked.html);
  await repo.git('checkout', '-q', 'main');
  await repo.git('merge', '-q', '--ff-only', 'good');
  await repo.git('push', '-q', 'origin', 'main');
  line(dim(`merged as ${commit.slice(0, 12)}; now on the merged commit:`));
  const gates = await step('check', ['check', '--base', 'HEAD~1', '--head', 'HEAD', '--evidence', evidence], repo);
  record('good change, merged', 'pass', gates.verdict, '');
  const canary = await tryCandidate(repo, { name: 'good', model: candidate, version: '1.1.0', evidence });
  record('good change, canary', 'pass', canary.canary.verdict, canary.html);
  record('good change, error budget', 'pass', canary.slo.verdict, '');
  const promoted = await step('promote', ['promote', '--to', 'production', '--evidence', evidence], repo);
  record('good change, promotion', 'pass', promoted.verdict, '');
  await repo.git('pull', '-q', '--ff-only', 'origin', 'main');
  line();
  line(bold('The promotion commit on the remote:'));
  for (const text of (await repo.git('log', '-1', '--format=%h %s%n%n%(trailers)', 'origin/main')).split('\n')) line(`  ${text}`);
  await reconcile(repo, '1.1.0');
}

async function degradedModel(repo: FleetRepo): Promise<void> {
  scene(
    3,
    'A degraded model',
    'mixtral-micro 1.2.0 with one expert of one layer damaged: the catalogue is in order, the average hardly moves.',
  );
  const candidate = join(work, 'mixtral-micro-1.2.0.gguf');
  await modelVariant(candidate, '--kind', 'expert-corrupt', '--layer', '3', '--expert', String(DAMAGED_EXPERT), '--seed', '1');
  await startBranch(repo, 'degraded', 'good');
  await nameVersion(repo, '1.2.0', candidate);
  await repo.commit('mixtral-micro 1.2.0 to 10 % of the traffic');
  await repo.git('push', '-q', 'origin', 'degraded');
  const evidence = join(work, 'evidence-degraded');
  const checked = await step('check', ['check', '--base', 'origin/main', '--head', 'HEAD', '--evidence', evidence], repo);
  record('degraded model, pull request', 'pass', checked.verdict, '');
  const canary = await tryCandidate(repo, { name: 'degraded', model: candidate, version: '1.2.0', evidence });
  record('degraded model, canary', 'fail', canary.canary.verdict, canary.html);
  printBlocking(canary.canary, 3, false);
  const promoted = await step('promote', ['promote', '--to', 'production', '--evidence', evidence], repo);
  record('degraded model, promotion', 'fail', promoted.verdict, '');
  printBlocking(promoted, 2);
  await repo.git('checkout', '-q', 'main');
}

interface Candidate {
  readonly name: string;
  readonly model: string;
  readonly version: string;
  readonly evidence: string;
}

/** Baseline and candidate side by side, k6 between them, then the candidate's own error budget. */
async function tryCandidate(
  repo: FleetRepo,
  candidate: Candidate,
): Promise<{ canary: DemoReport; slo: DemoReport; html: string }> {
  const bundle = join(work, `bundle-${candidate.name}.tar.gz`);
  await buildBundle(repo, bundle);
  const token = newToken();
  const metrics = join(work, `metrics-${candidate.name}.prom`);
  const html = join(work, `canary-${candidate.name}.html`);
  const common = { work, bundle, token };
  const now = { model: BASELINE_MODEL, version: '1.0.0', pool: 'us-east-cpu' };
  const then = { model: candidate.model, version: candidate.version, pool: 'us-east-cpu-next' };
  await using baseline = await serve({ ...common, ...now, name: `baseline-${candidate.name}` });
  await using next = await serve({ ...common, ...then, name: `candidate-${candidate.name}` });
  // Both are scraped alike: what watches only one arm would slow it down.
  await using prometheus = await tryPrometheus({ baseline, candidate: next });
  const stop = new AbortController();
  const targets = Object.entries({ baseline, candidate: next }).map(([role, { url }]) => ({
    url: `${url}/metrics`,
    labels: { role },
  }));
  const recording = recordMetrics(targets, metrics, 2_000, stop.signal, Date.now);
  const endpoints = ['--baseline', baseline.url, '--candidate', next.url];
  const evidence = ['--evidence', candidate.evidence];
  const canary = await step('canary', ['canary', 'run', ...endpoints, ...evidence, '--report', `html=${html}`], repo, {
    MIXGATE_CANARY_TOKEN: token,
  });
  stop.abort();
  await recording;
  const source = prometheus === undefined ? ['--samples', metrics] : ['--prometheus', prometheus.url];
  const slo = await step('slo', ['slo', 'gate', ...source, '--canary', ...evidence], repo);
  line(
    dim(prometheus === undefined ? '     from /metrics as recorded' : '     PromQL on a Prometheus that scraped the candidate'),
  );
  return { canary, slo, html };
}

/** A real Prometheus that scrapes both runtimes, where one can be had; the recorded /metrics serve otherwise. */
async function tryPrometheus(servers: { readonly [role: string]: RuntimeProcess }): Promise<RunningPrometheus | undefined> {
  const targets = Object.entries(servers).map(([role, { url }]) => ({ address: new URL(url).host, labels: { role } }));
  return startPrometheus({ targets }).catch(() => undefined);
}

/** Runs the CLI, prints a line a gate. */
async function step(name: string, args: readonly string[], repo: FleetRepo, env: NodeJS.ProcessEnv = {}): Promise<DemoReport> {
  const before = Date.now();
  const ran = await mixgate([...args, '--format', 'json', '--quiet'], { cwd: repo.dir, env });
  const report = parseReport(ran, args);
  line(`${verdict(report.verdict).padEnd(4)} ${bold(name)} ${dim(`(${((Date.now() - before) / 1000).toFixed(1)} s)`)}`);
  for (const gate of report.gates) line(`     ${gate.id.padEnd(10)} ${gate.verdict.padEnd(12)} ${gate.reason}`);
  return report;
}

function parseReport(ran: Ran, args: readonly string[]): DemoReport {
  try {
    return JSON.parse(ran.stdout) as DemoReport;
  } catch (cause) {
    throw new Error(`mixgate ${args.join(' ')} ended with ${ran.code} and no report:\n${ran.stderr}`, { cause });
  }
}

function printGates(report: DemoReport): void {
  line(`${verdict(report.verdict)} ${bold('pull request')}`);
  for (const gate of report.gates) line(`     ${gate.id.padEnd(10)} ${gate.verdict.padEnd(12)} ${gate.reason}`);
}

/** Blocking findings; `eachRule`: the first one of each rule. */
function printBlocking(report: DemoReport, most: number, eachRule = true): void {
  const seen = new Set<string>();
  const blocking = report.findings.filter((finding) => finding.blocking);
  const shown = eachRule ? blocking.filter((finding) => !seen.has(finding.ruleId) && seen.add(finding.ruleId)) : blocking;
  for (const finding of shown.slice(0, most)) {
    line();
    line(
      `${verdict('fail')} ${bold(finding.ruleId)}  ${finding.location === undefined ? '' : `${finding.location.file}${finding.location.line === undefined ? '' : `:${finding.location.line}`}`}`,
    );
    line(`     ${finding.message}`);
    if (finding.fix !== undefined) line(dim(`     fix: ${finding.fix}`));
  }
}

function record(what: string, expected: string, got: string, report: string): void {
  summary.push({ what, expected, got, report });
}

async function pinnedRevision(repo: FleetRepo): Promise<string> {
  return /^revision: (?<sha>\S+)/m.exec(await repo.git('show', 'origin/main:promotion/environments/production.yaml'))!.groups![
    'sha'
  ]!;
}

async function end(repo: FleetRepo): Promise<void> {
  await repo.git('fetch', '-q', 'origin');
  const pin = await pinnedRevision(repo);
  const good = await repo.git('rev-parse', 'good');
  console.log(`\n${bold('Summary')} ${dim(`(${elapsedSeconds().toFixed(0)} s)`)}\n`);
  for (const { what, got } of summary) line(`${verdict(got).padEnd(12)} ${what}`);
  line();
  line(
    `production was pinned to ${firstPin.slice(0, 12)} and is pinned to ${pin.slice(0, 12)}, the last good commit${pin === good ? '' : ' (EXPECTED THE GOOD CHANGE)'}`,
  );
  line();
  line('Reports with charts:');
  for (const { what, report } of summary) if (report !== '') line(`  ${what.padEnd(28)} ${report}`);
  line('Evidence of the promotion:');
  line(`  ${join(work, 'evidence-good')}`);
  const wrong = summary.filter(({ expected, got }) => (expected === 'pass' ? !['pass', 'warn'].includes(got) : got !== expected));
  if (wrong.length === 0 && pin === good) return;
  for (const { what, expected, got } of wrong) line(`${verdict('error')} ${what}: expected ${expected}, got ${got}`);
  process.exitCode = 1;
}
