import type { Path, SourceDocument } from '../config/document.ts';
import type { Finding, Location } from '../core/finding.ts';
import type { Loaded, OpensloSet } from './openslo.ts';
import { sloFinding } from './rules.ts';

/** A node of an OpenSLO document, read for one SLO. */
export interface Place {
  readonly source: SourceDocument;
  readonly path: Path;
  /** Name of the SLO: what findings are about. */
  readonly slo: string;
  /** What references are looked up in. */
  readonly set: OpensloSet;
  readonly findings: Finding[];
}

export function below(place: Place, ...steps: Path): Place {
  return { ...place, path: [...place.path, ...steps] };
}

/** The spec of another object, which a node refers to. */
export function specOf(place: Place, { source }: Loaded<unknown>): Place {
  return { ...place, source, path: ['spec'] };
}

export function locationOf({ source, path }: Place): Location {
  return source.locate(path);
}

/** Reports what a node lacks, or says twice. */
export function incomplete(place: Place, message: string, fix: string): void {
  place.findings.push(sloFinding('slo-incomplete', { message, location: locationOf(place), fix, subject: place.slo }));
}

/** Reports a reference that leads nowhere. */
export function dangling(place: Place, kind: string, ref: string): void {
  place.findings.push(
    sloFinding('slo-dangling-reference', {
      message: `No file defines the ${kind} ${ref}.`,
      location: locationOf(place),
      fix: `Add it, or correct the name; \`slo.files\` in mixgate.yaml says which files are read.`,
      subject: place.slo,
    }),
  );
}
