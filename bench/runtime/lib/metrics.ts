// What a running server says about itself.
import type { Peer } from './server.ts';

/** The sum of a metric's series whose line has all of `labels`; 0 when there is none. */
export type Scrape = (name: string, ...labels: string[]) => number;

export async function scrape(peer: Peer): Promise<Scrape> {
  const text = await (await fetch(`${peer.url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => !line.startsWith('#'));
  return (name, ...labels) =>
    lines
      .filter(
        (line) => (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) && labels.every((label) => line.includes(label)),
      )
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
