// The pages of a server, by what they are about: what a worker is told is data.
import type { Page } from './page.ts';
import { type StatsSubject, statsPage } from './stats-page.ts';
import { type TraceSubject, tracePage } from './trace-page.ts';
import { type TracesSubject, tracesPage } from './traces-page.ts';

export type PageJob =
  | { kind: 'stats'; subject: StatsSubject }
  | { kind: 'traces'; subject: TracesSubject }
  | { kind: 'trace'; subject: TraceSubject };

export function renderPage(job: PageJob): Page {
  switch (job.kind) {
    case 'stats':
      return statsPage(job.subject);
    case 'traces':
      return tracesPage(job.subject);
    case 'trace':
      return tracePage(job.subject);
  }
}
