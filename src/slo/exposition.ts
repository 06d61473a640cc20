/** A sample of Prometheus' text format (exposition format 0.0.4), its parts as written. */
export interface SampleLine {
  readonly name: string;
  /** What is between the braces; empty without labels. */
  readonly labels: string;
  readonly value: string;
}

/** Reads one line; undefined for a comment, an empty line and whatever else is no sample. A time after the value is left out. */
export function sampleLine(line: string): SampleLine | undefined {
  const match = /^(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?<labels>.*)\})?\s+(?<value>\S+)/.exec(line);
  if (match === null) return undefined;
  const { name, labels = '', value } = match.groups as { name: string; labels?: string; value: string };
  return { name, labels, value };
}
