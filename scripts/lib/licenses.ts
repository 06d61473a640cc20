/** The licences of the packages that are bundled into dist/, as one text that goes with them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

/** Folders of the packages of which at least one byte is in the outputs, sorted; relative to the build's folder. */
export function bundledPackages(metafile: Pick<Metafile, 'outputs'>): string[] {
  const folders = new Set<string>();
  for (const output of Object.values(metafile.outputs)) {
    for (const [file, { bytesInOutput }] of Object.entries(output.inputs)) {
      // The innermost package: node_modules/a/node_modules/@b/c/index.js belongs to @b/c.
      const folder = /^(?<folder>.*(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.groups?.['folder'];
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
    }
  }
  return [...folders].sort();
}

/**
 * Name, version, licence and the licence and notice files of every package, ordered by name and version. Throws when a
 * package names no licence: it must not be shipped then.
 */
export function licenceNotices(root: string, folders: readonly string[]): string {
  const entries = new Map<string, string>();
  for (const folder of folders) {
    const manifest = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Manifest;
    if (manifest.license === undefined) throw new Error(`${folder}/package.json names no licence: it can't be bundled.`);
    const title = `${manifest.name} ${manifest.version}`;
    entries.set(title, [`${title} (${manifest.license})`, ...licenceTexts(join(root, folder))].join('\n\n'));
  }
  const rule = '-'.repeat(80);
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text);
  return `${['dist/ contains code of the packages below, each under its own licence.', ...sorted].join(`\n\n${rule}\n\n`)}\n`;
}

/** Texts of the licence and notice files of a package, also of those in a folder `licenses`. */
function licenceTexts(folder: string): string[] {
  const texts = filesNamedLikeLicences(folder).map((file) => readFileSync(file, 'utf8').replaceAll('\r\n', '\n').trim());
  return texts.length > 0 ? texts : ['The package has no licence file; the line above is what its package.json says.'];
}

function filesNamedLikeLicences(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => /^(?:licen[cs]e|copying|notice)/i.test(name) && !/\.(?:[cm]?[jt]s|json)$/i.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? filesNamedLikeLicences(path) : [path];
    });
}
