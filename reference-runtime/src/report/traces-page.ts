// The kept traces of a tenant as a page.
import { html, oneLine } from '../../../src/report/escape.ts';
import type { TraceEntry } from '../server/moe-store.ts';
import { type Page, page } from './page.ts';

export interface TracesSubject {
  cluster: string;
  ttlSeconds: number;
  traces: readonly TraceEntry[];
}

/** An ISO 8601 instant without its milliseconds: they only widen the table. */
function toSecond(instant: string): string {
  return instant.replace(/\.\d+Z$/, 'Z');
}

/** The latest ones; the JSON has all of them. */
const ROW_LIMIT = 2_000;

function row(entry: TraceEntry): string {
  const { decision_id, model, version, segment, ended, prompt_tokens, completion_tokens, dropped_rows } = entry;
  const link = `traces/${encodeURIComponent(decision_id)}?format=html`;
  return `<tr><td class="mono"><a href="${html(link)}">${html(decision_id)}</a></td><td>${html(oneLine(`${model} ${version}`))}</td><td>${html(oneLine(segment ?? ''))}</td><td>${html(toSecond(ended))}</td><td class="num">${prompt_tokens}</td><td class="num">${completion_tokens}</td><td class="num">${dropped_rows}</td></tr>`;
}

const HEADS = ['decision', 'model', 'segment', 'ended'];
const COUNTS = ['tokens in', 'out', 'rows lost'];

export function tracesPage({ cluster, ttlSeconds, traces }: TracesSubject): Page {
  const heads = [
    ...HEADS.map((name) => `<th scope="col">${name}</th>`),
    ...COUNTS.map((name) => `<th scope="col" class="num">${name}</th>`),
  ];
  const table = `<div class="scroll" tabindex="0" role="region" aria-label="Kept traces"><table class="lines"><thead><tr>${heads.join('')}</tr></thead><tbody>${traces.slice(0, ROW_LIMIT).map(row).join('\n')}</tbody></table></div>${traces.length > ROW_LIMIT ? `<p class="small">${traces.length - ROW_LIMIT} earlier ones in the JSON.</p>` : ''}`;
  return page({
    title: 'Router traces',
    lead: `Your tenant’s traced requests, the latest first. A trace is kept for ${ttlSeconds} s, or until later ones need the room.`,
    tiles: [['Traces kept', String(traces.length)]],
    links: [['Expert usage', 'stats?format=html']],
    main: `<section aria-labelledby="traces"><h2 id="traces">Traces</h2>${traces.length === 0 ? '<p>None: a request is traced when the policy allows it and the trace mode or the header x-mixgate-include: moe asks for it.</p>' : table}</section>`,
    about: [['Cluster', cluster]],
  });
}
