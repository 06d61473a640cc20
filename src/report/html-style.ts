import { BASE_STYLE } from './html-base-style.ts';

/** The report's style sheet. */
export const STYLE = `${BASE_STYLE}
.verdict{display:flex;flex-wrap:wrap;align-items:center;gap:12px 16px}
.range{color:var(--muted);margin-top:8px;font-size:14px;overflow-wrap:anywhere}
.pill{display:inline-flex;align-items:center;gap:6px;border-radius:999px;padding:3px 11px;font-size:12.5px;font-weight:650;white-space:nowrap;line-height:1.5}
.pill.big{font-size:14px;padding:6px 16px}
.pill svg{width:13px;height:13px;flex:none}
${['pass', 'warn', 'inconclusive', 'fail', 'error', 'note', 'waived'].map((name) => `.is-${name}{color:var(--${name});background:var(--${name}-bg)}`).join('\n')}
.tile.zero dd{color:var(--muted);font-weight:500}
.tile.t-fail dd{color:var(--fail)}.tile.t-warn dd{color:var(--warn)}
.gates{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:12px;padding:0;margin:0;list-style:none}
.gates a{display:block;height:100%;background:var(--surface);border:1px solid var(--line);border-radius:12px;padding:14px 18px;color:inherit;text-decoration:none}
.gates a:hover{border-color:var(--muted)}
.gates .row{display:flex;justify-content:space-between;align-items:center;gap:10px}
.gates b{font-size:15.5px}.gates p{color:var(--muted);font-size:13.5px;line-height:1.5;margin-top:8px;overflow-wrap:anywhere;display:-webkit-box;-webkit-line-clamp:4;-webkit-box-orient:vertical;overflow:hidden}
details.gate{background:var(--surface);border:1px solid var(--line);border-radius:14px;margin-top:14px;overflow:hidden}
details.gate>summary{display:flex;align-items:center;gap:12px;padding:16px 20px;cursor:pointer;list-style:none}
details.gate>summary::-webkit-details-marker{display:none}
details.gate>summary::before{content:"";flex:none;width:8px;height:8px;border-right:2px solid var(--muted);border-bottom:2px solid var(--muted);transform:rotate(-45deg);margin:0 4px 0 2px}
details.gate[open]>summary::before{transform:rotate(45deg) translate(-2px,-2px)}
details.gate[open]>summary{border-bottom:1px solid var(--line)}
summary h3{font-size:17px;display:inline}
summary .counts{color:var(--muted);font-size:13.5px;margin-left:auto;text-align:right}
.inside{padding:20px}
.reason{color:var(--muted);margin-bottom:18px;overflow-wrap:anywhere}
.finding{border:1px solid var(--line);border-left:4px solid var(--waived);border-radius:10px;padding:16px 18px;margin-top:14px}
.inside>.finding:first-child,.inside>.scroll:first-child,.inside>.figures:first-child{margin-top:0}
.finding.f-fail{border-left-color:var(--fail)}.finding.f-warn{border-left-color:var(--warn)}.finding.f-note{border-left-color:var(--note)}
.finding header{display:flex;flex-wrap:wrap;gap:6px 12px;align-items:center;margin-bottom:8px}
.finding h4{font-size:14.5px;font-weight:650}
.finding .where{font-size:13px;color:var(--muted);overflow-wrap:anywhere}
.finding p{overflow-wrap:anywhere;white-space:pre-line}
.finding pre{margin:12px 0 0;background:var(--sunken);border:1px solid var(--line);border-radius:8px;padding:12px 14px;font-size:12.8px;line-height:1.5;overflow-x:auto;max-height:420px}
.finding .related{font-size:13.5px;color:var(--muted);margin-top:8px}
.fix{margin-top:12px;display:flex;gap:10px;align-items:baseline}
.fix b{flex:none;color:var(--pass);font-size:13px}
.overview td:first-child{white-space:nowrap}.overview .scroll{margin-top:0}.overview td .mono{font-size:13px}
@media (max-width:640px){.inside{padding:14px}summary .counts{display:none}
.overview table,.overview tbody,.overview tr,.overview td{display:block}.overview thead{position:absolute;left:-9999px}
.overview tr{padding:10px 12px;border-top:1px solid var(--line)}.overview tr:first-child{border-top:0}
.overview td,.overview td:first-child{border:0;padding:1px 0;white-space:normal}}
@media print{.gates a,details.gate,.finding{break-inside:avoid}}
`;
