/** What all our pages look like: palette (light and dark by the reader's setting), type, tables, figures. Page styles follow it. */
export const BASE_STYLE = `
:root{color-scheme:light dark;
--bg:#f5f6f8;--surface:#ffffff;--sunken:#f0f2f5;--ink:#171a21;--muted:#5a6273;--line:#dfe3ea;--link:#2450c8;
--pass:#177245;--pass-bg:#e2f4ea;--warn:#8a5a00;--warn-bg:#fdf1d6;--inconclusive:#6a45c0;--inconclusive-bg:#efe9fc;
--fail:#b9242f;--fail-bg:#fde7e8;--error:#8c1d4b;--error-bg:#fbe4ee;--note:#205fa8;--note-bg:#e4effb;--waived:#5a6273;--waived-bg:#eceff3;
--chart-ink:#2a2f3a;--chart-muted:#5f6778;--chart-line:#e3e6ec;--chart-surface:#ffffff;--chart-pass:#1d8753;--chart-warn:#b87a00;
--chart-inconclusive:#7a55d0;--chart-fail:#c92f3b;--chart-error:#8c1d4b;--chart-limit:#c92f3b;--chart-onheat:#ffffff;
--series-0:#3f6fe0;--series-1:#e2812b;--series-2:#1a9488;--series-3:#b1498f;--series-4:#7d8a22;--series-5:#6b58c9;--series-6:#c2443d;--series-7:#6a7385;
--heat-0:#f1f5fd;--heat-1:#dbe6fb;--heat-2:#bfd3f7;--heat-3:#9dbcf2;--heat-4:#7aa2ea;--heat-5:#5686dd;--heat-6:#3b6bc9;--heat-7:#2752ad;--heat-8:#173a86}
@media screen and (prefers-color-scheme:dark){:root{
--bg:#0f1217;--surface:#171b22;--sunken:#10141a;--ink:#e7eaf0;--muted:#9aa4b6;--line:#2a313d;--link:#8fb0ff;
--pass:#5fd39a;--pass-bg:#12301f;--warn:#efc067;--warn-bg:#352811;--inconclusive:#b9a1f5;--inconclusive-bg:#261d42;
--fail:#ff8b90;--fail-bg:#3b171b;--error:#ff8fbd;--error-bg:#3a1428;--note:#85b8f3;--note-bg:#13273d;--waived:#9aa4b6;--waived-bg:#222834;
--chart-ink:#d5dae4;--chart-muted:#98a2b5;--chart-line:#2a313d;--chart-surface:#171b22;--chart-pass:#4cc38a;--chart-warn:#e0ac4c;
--chart-inconclusive:#a98df0;--chart-fail:#ff7479;--chart-error:#ff8fbd;--chart-limit:#ff7479;--chart-onheat:#0f1217;
--series-0:#7ba2ff;--series-1:#f0a259;--series-2:#45c4b6;--series-3:#e07cc0;--series-4:#b6c44f;--series-5:#a497f2;--series-6:#f2837c;--series-7:#98a2b5;
--heat-0:#19202c;--heat-1:#1c2b47;--heat-2:#203762;--heat-3:#27477f;--heat-4:#335c9f;--heat-5:#6593dc;--heat-6:#83abe9;--heat-7:#a5c4f4;--heat-8:#cadffc}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,header.top,footer{max-width:1160px;margin:0 auto;padding:0 24px}
a{color:var(--link);text-underline-offset:2px}
a:focus-visible,summary:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:6px}
.skip{position:absolute;left:-9999px}.skip:focus{left:16px;top:12px;background:var(--surface);padding:8px 12px;z-index:1}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace}
code{-webkit-box-decoration-break:clone;box-decoration-break:clone;font-size:.9em;background:var(--sunken);border:1px solid var(--line);border-radius:5px;padding:.05em .35em;overflow-wrap:anywhere}
h1,h2,h3,h4,p{margin:0}
header.top{padding-top:36px;padding-bottom:8px}
.brand{display:flex;gap:10px;align-items:center;color:var(--muted);font-size:13px;font-weight:600;letter-spacing:.02em;margin-bottom:18px}
.brand svg{width:22px;height:22px}
h1{font-size:32px;line-height:1.2;letter-spacing:-.02em;font-weight:700}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(120px,1fr));gap:12px;margin:26px 0 0}
.tile{background:var(--surface);border:1px solid var(--line);border-radius:12px;padding:14px 18px}
.tile dt{color:var(--muted);font-size:13px}.tile dd{margin:2px 0 0;font-size:26px;font-weight:680;line-height:1.15;font-variant-numeric:tabular-nums}
.next{margin:12px 0 0;background:var(--surface);border:1px solid var(--line);border-left:4px solid var(--link);border-radius:12px;padding:14px 18px;overflow-wrap:anywhere}
section{margin-top:36px}
h2{font-size:19px;letter-spacing:-.01em;margin-bottom:14px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,500px),1fr));gap:20px;margin-top:22px;align-items:start}
figure{margin:0;border:1px solid var(--line);border-radius:12px;padding:16px 18px;min-width:0}
figcaption{font-weight:650;font-size:14.5px;margin-bottom:10px}
figure svg{display:block;width:100%;max-width:780px;height:auto}
figure svg text{font-family:inherit;font-variant-numeric:tabular-nums}
.small{color:var(--muted);font-size:13px;margin-top:8px}
.scale{display:flex;align-items:center;gap:8px;color:var(--muted);font-size:12.5px;margin-top:8px}
.scale i{display:inline-block;width:20px;height:10px}
.scale i:first-of-type{border-radius:5px 0 0 5px}.scale i:last-of-type{border-radius:0 5px 5px 0}
.scale span.bar{display:inline-flex}
${Array.from({ length: 9 }, (_, index) => `.h${index}{background:var(--heat-${index})}`).join('')}
details.data{margin-top:10px}details.data>summary{cursor:pointer;color:var(--muted);font-size:13px}
.scroll{overflow-x:auto;margin-top:22px;background:var(--surface);border:1px solid var(--line);border-radius:12px}
details.data .scroll{margin-top:8px}
table{border-collapse:collapse;width:100%;font-size:13.6px}
caption{text-align:left;font-weight:650;font-size:14.5px;padding:14px 18px 10px}
th,td{text-align:left;padding:8px 18px;border-top:1px solid var(--line);vertical-align:top;overflow-wrap:break-word}
th{color:var(--muted);font-weight:600;font-size:12.8px;background:var(--sunken);white-space:nowrap}
tbody tr:first-child td{border-top:0}
td.num,th.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.name{min-width:150px}
footer{padding-top:28px;padding-bottom:48px;color:var(--muted);font-size:13px;margin-top:24px}
footer dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:0}footer dd{margin:0;overflow-wrap:anywhere}
@media (max-width:640px){main,header.top,footer{padding-left:14px;padding-right:14px}h1{font-size:25px}th,td{padding:8px 12px}}
@media print{body{background:#fff}.next,.tile,figure{break-inside:avoid}}
`.trim();
