import type { SourceDocument } from '../config/document.ts';
import { ConfigurationError } from '../core/errors.ts';

/** Whether every entry of a list ends after its start. @param what one entry, for the error @throws ConfigurationError with every one that does not */
export function requireOrder(
  source: SourceDocument,
  list: string,
  what: string,
  entries: readonly { readonly start: string; readonly end: string }[],
): void {
  const problems = entries.flatMap(({ start, end }, index) =>
    Date.parse(end) > Date.parse(start)
      ? []
      : [
          {
            message: `the ${what} ends at ${end}, not after its start.`,
            location: source.locate([list, index, 'end']),
            expected: `an instant after ${start}`,
          },
        ],
  );
  if (problems.length > 0) throw new ConfigurationError(problems);
}
