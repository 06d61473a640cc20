// The style sheet of the runtime's pages: the gate's own look, heat maps, and tokens coloured by expert.
import { BASE_STYLE } from '../../../src/report/html-base-style.ts';

/** Colours of experts; more experts share them, and the number under a token tells them apart. */
export const EXPERT_COLOURS = 8;
export const HEAT_STEPS = 9;

/** `rules` are the page's own, made of numbers only. */
export function pageStyle(rules: readonly string[] = []): string {
  return `${BASE_STYLE}
html{scroll-padding-bottom:180px}
section{position:relative}
h3{font-size:16px;margin:22px 0 0}
.lead{color:var(--muted);margin-top:8px;max-width:78ch;overflow-wrap:anywhere}
table.lines td{white-space:nowrap}
nav{display:flex;flex-wrap:wrap;gap:6px 20px;margin-top:12px;font-size:14px}
.tile dd{font-size:22px;overflow-wrap:anywhere}
.tile.bad dd{color:var(--fail)}
table.heat{width:auto;min-width:100%}
table.heat th,table.heat td{padding:6px 10px;white-space:nowrap}
table.heat thead th{vertical-align:bottom}
table.heat td{text-align:right;font-variant-numeric:tabular-nums}
table.heat td.c{text-align:center;min-width:46px;border:2px solid var(--surface);border-radius:6px}
table.heat td.faint{color:var(--muted)}
table.heat th:first-child{position:sticky;left:0}
table.heat th[scope=row]{background:var(--surface);color:var(--ink)}
table.heat th.n{text-align:right}
table.heat th.c{text-align:center}
.h0,.h1,.h2,.h3,.h4{color:var(--ink)}.h5{color:#0b0e13}.h6,.h7,.h8{color:var(--chart-onheat)}
.scale{margin:8px 18px 14px}
.title{position:sticky;left:18px;display:inline-block;max-width:min(1070px,calc(100vw - 66px));overflow-wrap:anywhere}
table.strips td.cells{padding:1px 0;width:100%;vertical-align:middle}table.heat.strips tbody th,table.heat.strips td:not(.cells){padding-top:2px;padding-bottom:2px}
table.heat td.l,table.heat th.l{text-align:left}
.cells{display:flex}td.cells{display:table-cell}
.cells i{flex:1 0 5px;min-width:0;height:18px}
.ticks i{height:auto;font-style:normal;overflow:visible;white-space:nowrap}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.scroll>.small{margin:10px 18px 14px}
fieldset{border:1px solid var(--line);border-radius:12px;background:var(--surface);padding:10px 16px 14px;margin:0 0 14px;min-width:0}
legend{color:var(--muted);font-size:13px;padding:0 6px}
.layers label{display:inline-flex;align-items:center;gap:5px;margin:4px 14px 4px 0;font-variant-numeric:tabular-nums;cursor:pointer}
.layers input{accent-color:var(--link);margin:0;width:16px;height:16px}
.legend{display:flex;flex-wrap:wrap;gap:6px 16px;list-style:none;margin:0 0 14px;padding:0;color:var(--muted);font-size:13px}
.legend li{display:flex;align-items:center;gap:6px}
.legend i{width:18px;height:12px;border-bottom:3px solid var(--c);background:color-mix(in srgb,var(--c) 24%,var(--surface))}
.tokens{background:var(--surface);border:1px solid var(--line);border-radius:12px;padding:16px 18px;margin-top:12px}
.t{display:inline-block;vertical-align:top;font:14px/1.4 ui-monospace,SFMono-Regular,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace;
white-space:pre-wrap;overflow-wrap:anywhere;text-align:center;max-width:100%;min-width:1.2em;color:var(--ink);border:0;border-bottom:3px solid var(--c,var(--line));border-radius:3px 3px 0 0;
background:color-mix(in srgb,var(--c,transparent) 24%,var(--surface));margin:0 1px 7px 0;padding:1px 1px 0;cursor:pointer}
.t::after{content:var(--n,"\\2013");display:block;font-size:11px;line-height:15px}
.t:hover,.t:focus-visible{outline:2px solid var(--link);outline-offset:1px}
.d{position:fixed;inset:auto 0 0 0;width:min(1112px,100%);max-height:70vh;overflow:auto;margin:0 auto;padding:14px 18px 16px;color:var(--ink);background:var(--surface);
border:1px solid var(--line);border-top:3px solid var(--link);border-radius:12px 12px 0 0;box-shadow:0 -6px 24px #0003}
.d:not(:popover-open){pointer-events:none}
.t:hover+.d,.t:focus-visible+.d{display:block}
.t:hover+.d{z-index:2}
.d:not(:popover-open) tr.r{display:none}
.d p{font-size:13.5px;overflow-wrap:anywhere}
.d table{margin-top:8px;font-size:13px}.d th,.d td{padding:4px 12px 4px 0;background:none;white-space:nowrap}
.strip{display:inline-flex;gap:1px;vertical-align:middle}.strip i{width:14px;height:14px;border-radius:2px}
main:has(.t)~footer{padding-bottom:200px}
.v0{--c:var(--line)}.v1{--c:var(--series-1)}.v2{--c:var(--series-6)}
${Array.from({ length: EXPERT_COLOURS }, (_, index) => `.e${index}{--c:var(--series-${index})}`).join('')}
@media (max-width:640px){.d th,.d td{padding-right:8px}.strip i{width:9px}.d{padding:12px 14px}}
@media print{.d,.skip{display:none!important}main,header.top,footer{padding-left:0;padding-right:0}main:has(.t)~footer{padding-bottom:0}.t,.h0,.h1,.h2,.h3,.h4,.h5,.h6,.h7,.h8,.legend i,.scale i,.cells i{-webkit-print-color-adjust:exact;print-color-adjust:exact}.scroll{overflow:visible}
table.heat{font-size:10px;min-width:0}table.heat th,table.heat td{padding:3px 5px;font-size:10px}table.heat td.c{min-width:28px}caption{font-size:12px}.tokens{padding:8px 10px}}
@media (forced-colors:active){.t,table.heat td.c{border:1px solid}}
${rules.join('\n')}`;
}
