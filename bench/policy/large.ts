/**
 * Every analysis on a generated policy of 300 rules, as processes of the command line, beside `opa check` and `opa test`
 * in the same run. The bar: each under 20 s. `node bench/policy/large.ts [definitions]`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { resolveTool } from '../../src/tools/resolve.ts';

const RULES = Number(process.argv[2] ?? 300);
const BAR_SECONDS = 20;
const CLI = join(import.meta.dirname, '../../src/cli.ts');
/** Rules of one module: a gate per tenant class, three rules each. */
const GROUPS = Math.ceil(RULES / 30);
const opa = await resolveTool('opa');
const dir = mkdtempSync(join(tmpdir(), 'mixgate-large-'));

/** Ten classes a module; each has a limit, a reason and a pool, with thresholds of its own. */
function module(group: number, limit: number): string {
  const lines = [`package large.g${group}`, ''];
  for (let k = 0; k < 10; k += 1) {
    const n = group * 10 + k;
    lines.push(`reasons contains "load ${n}" if {\n\tinput.class == ${n}\n\tinput.load > ${limit + (n % 7)}\n}\n`);
    lines.push(
      `reasons contains "region ${n}" if {\n\tinput.class == ${n}\n\tinput.region == "${n % 2 === 0 ? 'us' : 'ap'}"\n}\n`,
    );
    lines.push(`pool := "pool-${n}" if input.class == ${n}\n`);
  }
  return lines.join('\n');
}

function policyFiles(limit: number): Map<string, string> {
  const groups = Array.from({ length: GROUPS }, (_, g) => g);
  const files = new Map(groups.map((g) => [`g${g}.rego`, module(g, limit)]));
  files.set(
    'decision.rego',
    [
      'package large',
      '',
      'default decision := {"allow": false, "reasons": []}',
      '',
      'decision := {"allow": true, "target": {"pool": pool}} if count(reasons) == 0',
      '',
      'else := {"allow": false, "reasons": sort(reasons)} if count(reasons) > 0',
      '',
      ...groups.map((g) => `reasons contains reason if some reason in data.large.g${g}.reasons\n`),
      ...groups.map((g) => `pool := data.large.g${g}.pool\n`),
    ].join('\n'),
  );
  files.set(
    'decision_test.rego',
    [
      'package large_test',
      '',
      ...groups.flatMap((g) =>
        Array.from({ length: 10 }, (_, k) => {
          const n = g * 10 + k;
          const input = (load: number, region: string): string => JSON.stringify({ class: n, load, region });
          return [
            `test_allowed_${n} if data.large.decision.target.pool == "pool-${n}" with input as ${input(1, 'eu')}\n`,
            `test_load_${n} if not data.large.decision.allow with input as ${input(99, 'eu')}\n`,
            `test_region_${n} if not data.large.decision.allow with input as ${input(1, n % 2 === 0 ? 'us' : 'ap')}\n`,
          ].join('\n');
        }),
      ),
    ].join('\n'),
  );
  return files;
}

function write(folder: string, files: ReadonlyMap<string, string>): void {
  for (const [name, text] of files) {
    const path = join(dir, folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}

/** Seconds of one process; exit codes 0, 1 and 4 are answers, anything else stops the bench. */
function seconds(what: string, command: string, args: readonly string[]): number {
  const start = performance.now();
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: dir, encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 });
  const took = (performance.now() - start) / 1000;
  if (status !== 0 && status !== 1 && status !== 4)
    throw new Error(`${what} ended with ${status}:\n${stdout.slice(-2000)}\n${stderr.slice(-2000)}`);
  const verdict = / (?:PASS|WARN|FAIL|INCONCLUSIVE|ERROR) .*/.exec(stdout.split('\n')[0] ?? '')?.[0]?.trim() ?? '';
  console.log(`${what.padEnd(16)} ${took.toFixed(1).padStart(6)} s  ${verdict}`);
  return took;
}

try {
  write('head', policyFiles(50));
  write('base', policyFiles(48));
  write(
    'invariants',
    new Map([
      [
        'load.rego',
        'package invariants.load\n\nviolation contains "overloaded" if {\n\tinput.input.load > 90\n\tinput.decision.allow\n}\n',
      ],
    ]),
  );
  const classes = Array.from({ length: GROUPS * 10 + 1 }, (_, n) => n);
  const loads = [1, ...Array.from({ length: 9 }, (_, i) => 48 + i), 99];
  const domain = { base: { class: 0, load: 1, region: 'eu' }, vary: { class: classes, load: loads, region: ['eu', 'us', 'ap'] } };
  writeFileSync(join(dir, 'domain.json'), JSON.stringify(domain));
  const definitions = GROUPS * 30;
  console.log(
    `${definitions} rules in ${GROUPS} modules, ${definitions} tests, ${classes.length * loads.length * 3} points; Node ${process.version}, ${execFileSync(opa.path, ['version'], { encoding: 'utf8' }).split('\n')[0]}`,
  );
  seconds('opa check', opa.path, ['check', '--strict', 'head']);
  seconds('opa test', opa.path, ['test', 'head']);
  const on = ['--entrypoint', 'large/decision'];
  const over = [...on, '--domain', 'domain.json'];
  const analyses: readonly (readonly [string, readonly string[]])[] = [
    ['check', ['head', ...on]],
    ['test', ['head']],
    // Mutation stops at the time that it is given and says how far it came.
    ['test --mutation', ['head', ...over, '--mutation-seconds', '12']],
    ['lint', ['head', ...over]],
    ['diff', ['base', 'head', ...over]],
    ['prove', ['head', '--invariants', 'invariants', ...over]],
    ['bench', ['head', ...over, '--budget', '100']],
  ];
  const times = analyses.map(([what, args]) => {
    const [verb, ...flags] = what.split(' ');
    return seconds(what, process.execPath, [CLI, 'policy', verb!, ...args, ...flags, '--quiet']);
  });
  console.log(`bar: every analysis under ${BAR_SECONDS} s: ${times.every((t) => t < BAR_SECONDS) ? 'met' : 'NOT MET'}`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
