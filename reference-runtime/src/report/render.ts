// The pages of a server, by what they are about: what a worker is told is data.
import { type MoeSnapshot, moeStats } from '../server/moe-statistics.ts';
import type { Page } from './page.ts';
import { type StatsSubject, statsPage } from './stats-page.ts';
import { type TraceSubject, tracePage } from './trace-page.ts';
import { type TracesSubject, tracesPage } from './traces-page.ts';

export type PageJob =
  | { kind: 'stats'; subject: StatsSubject }
  /** The statistics as JSON behind `head`, where they are too many for the server's loop. */
  | { kind: 'stats-json'; subject: { head: object; counts: MoeSnapshot } }
  | { kind: 'traces'; subject: TracesSubject }
  | { kind: 'trace'; subject: TraceSubject };

/** What is sent, and the policy to send with it where it is a page. */
export interface Rendered {
  text: string;
  policy?: string;
}

function ofPage({ html, policy }: Page): Rendered {
  return { text: html, policy };
}

export function render(job: PageJob): Rendered {
  switch (job.kind) {
    case 'stats':
      return ofPage(statsPage(job.subject));
    case 'stats-json':
      return { text: JSON.stringify({ ...job.subject.head, ...moeStats(job.subject.counts) }) };
    case 'traces':
      return ofPage(tracesPage(job.subject));
    case 'trace':
      return ofPage(tracePage(job.subject));
  }
}
