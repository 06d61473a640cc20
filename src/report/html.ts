import type { Finding } from '../core/finding.ts';
import type { GateResult } from '../core/gate.ts';
import type { Report } from '../core/report.ts';
import { plural } from '../core/text.ts';
import type { Verdict } from '../core/verdict.ts';
import { clip, html, oneLine } from './escape.ts';
import { htmlPage, LOGO } from './html-page.ts';
import { figure, findingCard, measurementsHtml, path, rich, tableHtml, verdictPill } from './html-parts.ts';
import { STYLE } from './html-style.ts';
import type { RenderOptions } from './options.ts';
import {
  countEffects,
  describeCounts,
  describeLocation,
  describeRange,
  findingsOutsideGates,
  nextStep,
  withEffect,
} from './view.ts';

const HEADLINE: Record<Verdict, string> = {
  pass: 'Nothing blocks this change',
  warn: 'Nothing blocks this change, with warnings',
  inconclusive: 'Not enough evidence to decide',
  fail: 'This change is blocked',
  error: 'The gate could not run',
};

/**
 * One self-contained HTML file: no script, no request, and a Content-Security-Policy that allows only its own style sheet.
 * A section a gate that folds, charts as inline SVG with their numbers beside them.
 */
export function renderHtml(report: Report, options: Pick<RenderOptions, 'links'> = {}): string {
  const counts = countEffects(report.findings);
  const anchors = anchorsOf(report.findings);
  const body = `<a class="skip" href="#findings">Skip to the findings</a>
<header class="top">
<div class="brand">${LOGO}<span>${html(oneLine(report.provenance.command))}</span></div>
<div class="verdict"><h1>${HEADLINE[report.verdict]}</h1>${verdictPill(report.verdict, ' big')}</div>
${range(report)}
<dl class="tiles">${tiles(report)}</dl>
<p class="next">${rich(oneLine(nextStep(report)))}</p>
</header>
<main>
<section aria-labelledby="gates-title"><h2 id="gates-title">Gates</h2>
<ul class="gates">
${report.gates.map(gateTile).join('\n')}
</ul></section>
${overview(withEffect(report.findings, 'blocks'), anchors)}
<section id="findings" aria-labelledby="findings-title"><h2 id="findings-title">Findings and numbers by gate</h2>
${report.gates.map((gate, index) => gateSection(gate, index, anchors)).join('\n')}
${outside(findingsOutsideGates(report), anchors)}
</section>
</main>
<footer>${provenance(report, options)}</footer>`;
  return htmlPage({ title: `mixgate: ${report.verdict}, ${describeCounts(counts)}`, style: STYLE, body });
}

/** Ids of the cards: by order, because two findings may share an id. */
function anchorsOf(findings: readonly Finding[]): ReadonlyMap<Finding, string> {
  return new Map(findings.map((finding, index) => [finding, `finding-${index + 1}`]));
}

function range(report: Report): string {
  const text = describeRange(report);
  return text === '' ? '' : `<p class="range mono">${html(oneLine(text))}</p>`;
}

function tiles(report: Report): string {
  const counts = countEffects(report.findings);
  const tile = (name: string, value: number | string, style = ''): string =>
    `<div class="tile ${value === 0 ? 'zero' : style}"><dt>${name}</dt><dd>${value}</dd></div>`;
  const passed = report.gates.filter((gate) => gate.verdict === 'pass').length;
  return [
    tile('Blocking', counts.blocks, 't-fail'),
    tile('Warnings', counts.warns, 't-warn'),
    tile('Notes', counts.notes),
    tile('Waived', counts.waived),
    tile('Gates passed', `${passed} of ${report.gates.length}`),
  ].join('');
}

function gateTile(gate: GateResult): string {
  return `<li><a href="#gate-${gate.id}"><span class="row"><b>${gate.id}</b>${verdictPill(gate.verdict)}</span><p>${rich(clip(oneLine(gate.reason), 400))}</p></a></li>`;
}

function overview(blocking: readonly Finding[], anchors: ReadonlyMap<Finding, string>): string {
  if (blocking.length === 0) return '';
  const rows = blocking
    .slice(0, 100)
    .map((finding, index) => [String(index), describeLocation(finding.location), finding.message]);
  const cell = (text: string, column: number): string => {
    if (column !== 0) return column === 1 ? path(text) : rich(oneLine(text));
    const finding = blocking[Number(text)]!;
    return `<a class="mono" href="#${anchors.get(finding) ?? 'findings'}">${html(finding.ruleId)}</a>`;
  };
  const more = blocking.length > 100 ? `<p class="small">${blocking.length - 100} more below.</p>` : '';
  return `<section class="overview" aria-labelledby="blocking-title"><h2 id="blocking-title">What blocks</h2>${tableHtml(
    { columns: ['rule', 'where', 'what'], rows },
    undefined,
    cell,
  )
    .replace('class="num"', 'class="name"')
    .replaceAll('<td class="num">', '<td>')}${more}</section>`;
}

function gateSection(gate: GateResult, index: number, anchors: ReadonlyMap<Finding, string>): string {
  const charts = (gate.charts ?? []).map((chart, at) => figure(chart, `chart-${index}-${at}`));
  const open = gate.verdict !== 'pass' || charts.length > 0;
  return [
    `<details class="gate" id="gate-${gate.id}"${open ? ' open' : ''}>`,
    `<summary><h3>${gate.id}</h3>${verdictPill(gate.verdict)}<span class="counts">${describeCounts(countEffects(gate.findings))}</span></summary>`,
    '<div class="inside">',
    // A reason that only repeats the first finding says nothing new.
    gate.findings[0]?.message.startsWith(gate.reason.replace(/ \(and \d+ more\)$/, '')) === true
      ? ''
      : `<p class="reason">${rich(oneLine(clip(gate.reason, 2_000)))}</p>`,
    // What blocks is listed at the top of the page: here the picture comes first, then the evidence.
    charts.length === 0 ? '' : `<div class="figures">${charts.join('\n')}</div>`,
    ...gate.findings.map((finding) => findingCard(finding, anchors.get(finding) ?? `finding-${gate.id}`)),
    ...(gate.tables ?? []).map((table) => tableHtml(table, clip(table.title, 200))),
    gate.measurements.length === 0 ? '' : measurementsHtml(gate.measurements, gate.id),
    '</div></details>',
  ]
    .filter((line) => line !== '')
    .join('\n');
}

function outside(findings: readonly Finding[], anchors: ReadonlyMap<Finding, string>): string {
  if (findings.length === 0) return '';
  return `<details class="gate" open><summary><h3>other</h3><span class="counts">${plural(findings.length, 'finding')}</span></summary><div class="inside">${findings.map((finding) => findingCard(finding, anchors.get(finding) ?? 'findings')).join('\n')}</div></details>`;
}

function provenance(report: Report, options: Pick<RenderOptions, 'links'>): string {
  const { tool, tools, base, head, configFrom, seed } = report.provenance;
  const run = options.links?.runUrl;
  const rows: (readonly [string, string])[] = [
    ['Tool', `${tool.name} ${tool.version}`],
    [
      'Programs',
      Object.entries(tools)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ],
    ['Base', base === undefined ? '' : `${base.ref} ${base.commit}`],
    ['Head', head === undefined ? '' : `${head.ref} ${head.commit}`],
    ['Configuration from', configFrom ?? ''],
    ['Seed', String(seed)],
  ];
  const subjects = report.gates
    .flatMap((gate) => gate.subjects ?? [])
    .slice(0, 40)
    .map(
      (subject) =>
        [
          subject.name,
          Object.entries(subject.digest)
            .map(([name, value]) => `${name}:${value}`)
            .join(' '),
        ] as const,
    );
  const list = [...rows, ...subjects]
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `<dt>${html(oneLine(name))}</dt><dd class="mono">${html(oneLine(value))}</dd>`);
  const link =
    run !== undefined && /^https?:\/\//.test(run)
      ? `<dt>Run</dt><dd><a rel="noreferrer" href="${html(run)}">${html(run)}</a></dd>`
      : '';
  return `<dl>${list.join('\n')}${link}</dl>`;
}
