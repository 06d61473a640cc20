/** `rule-id file:line` of every `# <- rule-id, rule-id` in a module: what must be reported, and all that may be. */
function marksOf(file: string, text: string): string[] {
  return text.split('\n').flatMap((line, index) => {
    const ids = / # <- (?<ids>.+)$/.exec(line)?.groups?.['ids'] ?? '';
    return ids === '' ? [] : ids.split(', ').map((id) => `${id} ${file}:${index + 1}`);
  });
}

export function marksIn(files: { readonly [file: string]: string }): string[] {
  return Object.entries(files)
    .flatMap(([file, text]) => marksOf(file, text))
    .sort();
}
