import type { Report } from '../core/report.ts';
import type { RenderOptions } from './options.ts';

/** The formats that a report file, or stdout, can have. Annotations and the comment are GitHub's and have their own functions. */
export const FORMATS = ['text', 'json', 'markdown', 'sarif', 'junit', 'html'] as const;
export type Format = (typeof FORMATS)[number];
export type { RenderOptions, RuleHelp } from './options.ts';

/** Renders a report; each format is loaded when it is first asked for (the charts of html are heavy). */
export async function render(format: Format, report: Report, options: RenderOptions = {}): Promise<string> {
  switch (format) {
    case 'text':
      return (await import('./text.ts')).renderText(report, options);
    case 'json':
      return (await import('./json.ts')).renderJson(report);
    case 'markdown':
      return (await import('./markdown.ts')).renderMarkdown(report, options);
    case 'sarif':
      return (await import('./sarif.ts')).renderSarif(report, options);
    case 'junit':
      return (await import('./junit.ts')).renderJunit(report, options);
    case 'html':
      return (await import('./html.ts')).renderHtml(report, options);
  }
}
